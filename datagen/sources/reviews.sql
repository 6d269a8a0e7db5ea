-- Reviews of some items, drawn by chance so that they are about 150,000: up to 200 that were written about such an item, of
-- 20 to 2,000 characters, in English, without HTML. `kind` is the category's name. `key` names a review by its item and time;
-- `groups` its item, which is `held` for tests by its chance, so that lists of several items' reviews can be of one side.
-- `lot` is a large whole number by chance.
create table reviews.told as
with drawn as (
    select category, parent_asin as item, timestamp as time, rating, title, text, helpful_vote, draw(parent_asin || '|' || timestamp) as lot
    from reviews.reviews
    where draw(parent_asin) < (select 150000 / count(*) from reviews.reviews) * 18446744073709551616
        and length(text) between 20 and 2500 and rating between 1 and 5
    qualify row_number() over (partition by parent_asin order by lot, text) <= 200
),
plain as (
    select category, replace(regexp_replace(category, '^Amazon_', ''), '_', ' ') as kind, item, time, lot,
        rating::int as stars, coalesce(helpful_vote, 0) as votes, review_text(text) as text, review_text(title) as headline
    from drawn
)
select *, item || '/' || time as key, ['product:us:' || item] as groups, draw('product:us:' || item) < 0.1 * 18446744073709551616 as held
from plain where length(text) between 20 and 2000 and in_language(text, 'en')
    and not regexp_matches(text, '&#?\w+;|[\[\]<>{}|]|https?:')
qualify row_number() over (partition by item, time order by text) = 1
    and row_number() over (partition by lower(text) order by lot, item) = 1;

-- What those reviews say in clauses of 2 to 18 words that name an aspect: `aspects` by the list of that name, `opinions` are
-- `good` or `bad` or both by theirs. `aspect` is the one of them; how a thing looks is none beside another aspect, as
-- `beautiful` is said of colors and sounds as well. Of 60,000 reviews at most, as many of each number of stars.
create table reviews.clauses as
with drawn as (
    select * from reviews.told where length(text) <= 1000
    qualify row_number() over (partition by stars order by lot) <= 12000
),
clause as (select * exclude (text), unnest(clauses(text)) as clause from drawn),
found as (
    select *, aspects_in(clause, 'en') as aspects from clause where len(string_split(clause, ' ')) between 2 and 18
)
select * exclude (lot), opinions_in(clause, 'en') as opinions, draw(key || clause) as lot,
    if(len(aspects) = 1, aspects, list_filter(aspects, lambda aspect: aspect <> 'appearance')) as kept,
    if(len(kept) = 1, kept[1], null) as aspect
from found where len(aspects) > 0;

-- Snippets about one aspect, each text once a category: praise from reviews of five stars, complaints from those of one. Their
-- words say the same as the stars, nothing is denied or conditional, and what the review says elsewhere of the
-- aspect doesn't disagree.
create table reviews.snippets as
with agreed as (
    select *, if(stars = 5, 'positive', 'negative') as sentiment, if(stars = 5, 'good', 'bad') as word,
        count_if(list_contains(opinions, if(stars = 5, 'bad', 'good'))) over (partition by key, aspect) as against
    from reviews.clauses where stars in (1, 5) and aspect is not null
)
select category, kind, item, held, groups, key, aspects, aspect, sentiment, clause as snippet, lot
from agreed
where against = 0 and opinions = [word] and length(clause) <= 120
    and not regexp_matches(lower(clause), '\b(?:if|would|could|should|other reviews?|reviewers?|hope|hopefully|wish|until|except|unless|stars?|but|although|my old|the old|other ones?)\b')
    and not (sentiment = 'positive' and regexp_matches(lower(clause), '\b(?:not|no|never|nothing|hardly|barely|without)\b|n[''’]t\b'))
    and not (sentiment = 'negative' and regexp_matches(lower(clause), '\b(?:no|never|without)\b'))
qualify row_number() over (partition by category, lower(clause) order by lot) = 1;
