-- What was looked at in sessions, a row for each product: of up to 8,000 sessions of each marketplace, drawn by chance. `place`
-- counts them from 1, each where it came first, and `last` marks what the session ended with, which nobody saw before.
create table m2.steps as
with drawn as (
    select locale, unnest(min({lot: draw(printed || next_item), printed: printed, after: next_item}, 8000), recursive := true)
    from m2.sessions where contains(printed, ' ') group by locale
),
visit as (select locale, lot, after, md5(printed || after)[:12] as session, regexp_extract_all(printed, '\w+') as before from drawn),
step as (
    select locale, lot, session, after, unnest(before || [after]) as id, generate_subscripts(before || [after], 1) as place
    from visit where not list_contains(before, after)
)
select locale, language(locale) as language, session, min(lot) as lot, id, min(place) as place, bool_or(id = after) as last
from step group by locale, session, id;

-- What the pages of those products say, and of up to 8,000 others that several marketplaces sell under one id (`paired`). `title`
-- has 10 to 300 characters and no HTML. `brand`, `color`, `size`, `material` and `author` are null where they say nothing, or
-- more than a name. `words` are those of the title that may tell what it is: of four letters or more, of Japanese two or three
-- characters.
create table m2.pages as
with pair as (select id from m2.products group by id having min(locale) <> max(locale) order by draw(id), id limit 8000),
wanted as (
    select locale, id, true as paired from m2.products semi join pair using (id)
    union select locale, id, false from m2.steps anti join pair using (id)
),
found as (select distinct products.*, paired from m2.products join wanted using (locale, id)),
page as materialized (
    select locale, language(locale) as language, id, paired, draw(id) as lot,
        trim(regexp_replace(replace(title, '&amp;', '&'), '[\x{200b}-\x{200f}\x{feff}\s]+', ' ', 'g')) as title,
        if(price between 0.01 and 1000000, price, null) as price, known_brand(plain(brand, 40)) as brand,
        plain(color, 30) as color, plain(size, 30) as size, plain(material, 40) as material, plain(author, 60) as author, description
    from found
)
select *, list_distinct(regexp_extract_all(
    regexp_replace(lower(title), '\b(?:with|without|from|your|this|pack|piece|pieces|stück|ohne|eine|avec|sans|pour|dans|pièces|para|piezas|senza|della|pezzi)\b', ' ', 'g'),
    '[\p{Latin}\p{N}]{4,}|[\p{Katakana}ー]{3,}|\p{Han}{2,}')) as words
from page where length(title) between 10 and 300 and not regexp_matches(title, '&#?\w+;|<[^>]*>|[.]{3}$');

-- The words of a title that tell what kind of thing it is, the commonest first: of two products of one session they stand in both
-- four times as often as chance would have it. `curtain` does, `black` and `washable` don't.
create table m2.themes as
with item as (
    select locale, session, id, words, count(*) over (partition by locale, session) - 1 as beside
    from m2.steps join m2.pages using (locale, id)
),
whole as (select locale, count(*) as items, sum(beside) as pairs from item group by locale),
met as (select locale, session, word, count(*) as n from (select locale, session, unnest(words) as word from item) group by all),
telling as (
    select locale, word, sum(n) as items from met join whole using (locale) group by locale, word, whole.items, pairs
    having sum(n * (n - 1)) / pairs >= 4 * (sum(n) / whole.items) ** 2 and count(*) > 1
)
select locale, id, list(word order by items desc, word) as kinds
from (select locale, id, unnest(words) as word from m2.pages) join telling using (locale, word) group by locale, id;

-- For each such word, of the four commonest of a title, those of other products that the same sessions look at: `others` in two
-- sessions or more and three times as often as by chance, `close` of them in three and five times as often.
create table m2.ties as
with led as (select distinct locale, session, unnest(kinds[:2]) as word from m2.steps join m2.themes using (locale, id)),
known as (select locale, word, count(*) as n from led group by all),
whole as (select locale, count(distinct session) as sessions from led group by locale),
pair as (
    select one.locale, one.word, other.word as other, count(*) as together
    from led as one join led as other using (locale, session) where one.word <> other.word group by all having together >= 2
),
tied as (
    select pair.*, together * sessions / (known.n * met.n) as lift from pair join whole using (locale)
        join known using (locale, word) join known as met on met.locale = pair.locale and met.word = other
)
select locale, word, list(other) as others, coalesce(list(other) filter (together >= 3 and lift >= 5), []) as close
from tied where lift >= 3 group by all;

-- Sessions of three products or more with titles, up to 4,000 of each marketplace, where what came last (`after`) has the brand or a
-- word of its kind in common with what was there `before` it, or one that goes with it in other sessions: else the shopper thought of
-- something new, which nobody can guess. `ids` are all, `shared` is the number of words in common. `heads` are the words of all
-- their kinds. `steady` are those where each product has to do with the one before it in that way.
create table m2.visits as
with drawn as (
    select locale, session from m2.steps group by locale, session having count(*) >= 3 and bool_or(last)
    qualify row_number() over (partition by locale order by min(lot), session) <= 6000
),
seen as (
    select steps.*, title, brand, words, price, coalesce(kinds, []) as kinds, lag(id) over viewed as previous, lag(brand) over viewed as worn,
        lag(coalesce(kinds, []), 1, []) over viewed as earlier, row_number() over viewed as nth, count(*) over (partition by locale, session) as items
    from m2.steps semi join drawn using (locale, session) join m2.pages using (locale, language, id) left join m2.themes using (locale, id)
    window viewed as (partition by locale, session order by place)
),
step as materialized (
    select *, coalesce(worn = brand, false) or list_has_any(earlier, kinds) as alike from seen
),
tied as (
    select distinct locale, previous, id from (
        select * exclude (kinds), unnest(kinds) as word from (select locale, previous, id, kinds, unnest(earlier) as former from step where not alike))
        semi join (select locale, word as former, unnest(close) as word from m2.ties) using (locale, former, word)
),
linked as (
    select step.*, alike or tied.id is not null as linked from step left join tied using (locale, previous, id)
),
visit as (
    select locale, language, session, lot, list(id order by place) as ids,
        list({id: id, title: title, brand: brand, words: words, kinds: kinds} order by place) as shown,
        shown[:-2] as before, {id: shown[-1].id, title: shown[-1].title, brand: shown[-1].brand, words: shown[-1].words, price: max(price) filter (last)} as after,
        coalesce(bool_and(linked) filter (nth > 1 and nth < items), true) as steady
    from linked where items >= 3
    group by locale, language, session, lot having bool_or(last) and bool_or(linked) filter (nth = items)
),
chosen as materialized (
    select * from visit where len(list_distinct([lower(item.title) for item in shown])) = len(ids)
    qualify row_number() over (partition by locale order by lot, session) <= 4000
)
select * exclude (shown, steady), list_distinct(flatten([item.kinds for item in shown])) as heads, locale || '/' || session as key, ['session:' || locale || ':' || session] as groups,
    [item.title for item in before][-5:] as titles, list_distinct(flatten([item.words for item in before])) as said,
    len(list_intersect(said, after.words)) as shared, steady
from chosen;

-- For each visit what it did not come to, of other kinds: products that ended others there, of other brands, never seen in one
-- session with its last two, without a word of its `heads` or one tied to them. `near` share words with the session all the same, as of colors or of whom
-- it is for, those with most of them first, which are `nearest` words; `popular` share none, and are of the price of what came last,
-- by chance. Titles.
create table m2.lures as
with offer as (select locale, session, after.id as id, after.words as words, floor(2 * ln(after.price)) as class from m2.visits),
kind as (select distinct locale, unnest(kinds) as word from m2.themes),
plain as (select locale, session, id, unnest(words) as word from offer),
shelf as (
    select locale, word, min({lot: draw(session || word), id: id}, 4) as offers
    from plain anti join kind using (locale, word) group by locale, word having count(*) between 2 and 300
),
spoken as (
    select locale, session, offers from (select locale, session, unnest(said) as word from m2.visits) join shelf using (locale, word)
    qualify row_number() over (partition by locale, session order by draw(session || word)) <= 6
),
candidate as (
    select locale, session, unnest(list(id) over (partition by locale, class
        order by draw(session) rows between 1 following and 10 following)) as id from offer
    union
    select locale, session, unnest(offers).id from spoken
),
ending as (select locale, session, unnest([before[-1].id, after.id]) as id from m2.visits),
met as (
    select distinct ending.locale, ending.session, other.id from ending
        join m2.steps as one using (locale, id) join m2.steps as other on other.locale = one.locale and other.session = one.session
),
apart as (
    select candidate.* from candidate anti join met using (locale, session, id) anti join m2.steps using (locale, session, id)
),
worded as (select locale, session, id, unnest(words) as word from apart join m2.pages using (locale, id)),
field as (
    select locale, session, unnest([word] || coalesce(others, [])) as word
    from (select locale, session, unnest(heads) as word from m2.visits) left join m2.ties using (locale, word)
),
akin as (select distinct locale, session, id from worded semi join field using (locale, session, word)),
scored as (
    select other.locale, other.session, other.id, pages.title, len(list_intersect(said, pages.words)) as shared
    from (from apart anti join akin using (locale, session, id)) as other join m2.pages using (locale, id) join (
        select locale, session, said, [item.brand for item in before] || [after.brand] as brands from m2.visits) using (locale, session)
    where not coalesce(list_contains(brands, pages.brand), false)
)
select locale, session, coalesce(list(title order by shared desc, draw(session || id)) filter (shared > 0), [])[:8] as near,
    coalesce(list(title order by draw(session || id)) filter (shared = 0), [])[:12] as popular, max(shared) as nearest
from scored group by locale, session;

-- Brands that the same sessions looked at: `together` many, which are `lift` times as many as if by chance.
create table m2.kindred as
with carried as (
    select distinct locale, language, session, brand from m2.steps join m2.pages using (locale, language, id) where brand is not null
),
known as (select locale, brand, count(*) as n from carried group by all),
visited as (select locale, count(distinct session) as sessions from carried group by locale)
select one.locale, one.language, one.brand, other.brand as other, count(*) as together,
    round(count(*) * sessions / (known.n * met.n), 1) as lift
from carried as one join carried as other using (locale, session) join visited using (locale)
    join known on known.locale = one.locale and known.brand = one.brand
    join known as met on met.locale = one.locale and met.brand = other.brand
where one.brand <> other.brand group by one.locale, one.language, one.brand, other.brand, sessions, known.n, met.n;

-- Up to 4,000 pages of each marketplace, `paired` ones first, and for each what is like it there (`others`): pages that share one of
-- its words that fewer than one in twenty has, but not its title.
create table m2.akin as
with drawn as (
    select locale, id, title, words from m2.pages qualify row_number() over (partition by locale order by paired desc, lot) <= 4000
),
worded as (select locale, id, title, unnest(words) as word from drawn),
rare as (
    select locale, word from worded join (select locale, count(*) as pages from drawn group by locale) using (locale)
    group by locale, word, pages having count(*) between 2 and greatest(0.05 * pages, 2)
),
beside as (
    select locale, id, title, list({id: id, title: title}) over (
        partition by locale, word order by draw(id || word) rows between 1 following and 5 following) as others
    from worded semi join rare using (locale, word)
)
select locale, id, list_distinct(list_filter(flatten(list(others)), lambda other: lower(other.title) <> lower(title))) as others
from beside group by locale, id, title;

-- One product in two marketplaces of different languages, up to 3,000 for each pair, where both titles are in their languages, no
-- copies, and of about one length. `words` are those of `title`, `lot` is a large whole number by chance.
create table m2.parallel as
with page as (select * from m2.pages where paired and in_language(title, language) and length(title) between 20 and 200)
select one.id, one.locale, one.language, one.title, other.locale as other_locale, other.language as other_language,
    other.title as other_title, one.words, one.lot
from page as one join page as other using (id)
where one.language <> other.language
    and len(list_intersect(one.words, other.words)) <= 0.6 * least(len(one.words), len(other.words))
    and length(one.title) < 2.5 * length(other.title) and length(other.title) < 2.5 * length(one.title)
qualify row_number() over (partition by one.language, other.language order by one.lot) <= 3000;

-- Those of the pages in `m2.akin` with a description that can be shown (`text`): of 40 to 600 characters, in the language of the
-- marketplace, without HTML. Japanese ones come with blanks between their words, which are left out.
create table m2.told as
with drawn as (
    select * from m2.pages semi join m2.akin using (locale, id)
    where length(description) between 40 and 2000 and in_language(title, language)
),
clean as (
    select *, trim(regexp_replace(replace(prose(description), '&amp;', '&'), '[\x{200b}-\x{200f}\x{feff}\s]+', ' ', 'g')) as plain,
        '([\p{Hiragana}\p{Katakana}\p{Han}ー、。「」()]) ([\p{Hiragana}\p{Katakana}\p{Han}ー、。「」()])' as split
    from drawn
)
select * exclude (description, plain, split), if(language = 'ja',
    regexp_replace(regexp_replace(plain, split, '\1\2', 'g'), split, '\1\2', 'g'), plain) as text
from clean where length(plain) between 40 and 600 and in_language(plain, language)
    and not regexp_matches(plain, '&#?\w+;|https?://|[.]{3}$|[<>]');

-- The same pages with titles of what is like them (`titles`), those first that have most words of the description. Each lacks one
-- of its words that the page's own title has.
create table m2.likely as
with worded as (
    select *, list_distinct(regexp_extract_all(lower(text), '\p{Latin}{4,}|[\p{Katakana}ー]{2,}|\p{Han}{2,}')) as said
    from m2.told join m2.akin using (locale, id)
),
scored as (
    select * exclude (others, said), found_in(said, title) as own,
        list_reverse_sort(list_transform(others, lambda other: {
            n: len(found_in(said, other.title)), title: other.title})) as scores
    from worded
)
select * exclude (own, scores), [other.title for other in scores
    if len(found_in(own, other.title)) < len(own)] as titles from scored;
