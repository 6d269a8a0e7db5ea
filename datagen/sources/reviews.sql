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
plain as materialized (
    select category, replace(regexp_replace(category, '^Amazon_', ''), '_', ' ') as kind, item, time, lot,
        rating::int as stars, coalesce(helpful_vote, 0) as votes, review_text(text) as text, review_text(title) as headline
    from drawn
)
select *, item || '/' || time as key, ['product:us:' || item] as groups, draw('product:us:' || item) < 0.1 * 18446744073709551616 as held
from plain where length(text) between 20 and 2000 and in_language(text, 'en')
    and not regexp_matches(text, '&#?\w+;|[\[\]<>{}|]|https?:')
qualify row_number() over (partition by item, time order by text) = 1
    and row_number() over (partition by lower(text) order by lot, item) = 1;

-- What those reviews say in clauses of 2 to 18 words that name an aspect: `aspects` by the list of that name (`aspects_meant`), `opinions` are
-- `good` or `bad` or both by theirs. `aspect` is the one of them; how a thing looks is none beside another aspect, as
-- `beautiful` is said of colors and sounds as well. Of 60,000 reviews at most, as many of each number of stars.
create table reviews.clauses as
with drawn as (
    select * from reviews.told where length(text) <= 1000
    qualify row_number() over (partition by stars order by lot) <= 12000
),
clause as (select * exclude (text), unnest(clauses(text)) as clause from drawn),
found as (
    select *, aspects_meant(clause) as aspects from clause where len(string_split(clause, ' ')) between 2 and 18
)
select * exclude (lot), opinions_in(clause, 'en') as opinions, draw(key || clause) as lot,
    if(len(aspects) = 1, aspects, list_filter(aspects, lambda aspect: aspect <> 'appearance')) as kept,
    if(len(kept) = 1, kept[1], null) as aspect
from found where len(aspects) > 0;

-- Snippets about one aspect, each text once a category: praise from reviews of five stars (`positive`), complaints from those of one
-- (`negative`). Their words say the same as the stars, nothing is denied, conditional or said by halves (`a little snug`, `pretty good`),
-- and what the review says elsewhere of the aspect doesn't disagree.
create table reviews.snippets as
with agreed as (
    select *, if(stars = 5, 'positive', 'negative') as sentiment, if(stars = 5, 'good', 'bad') as word,
        count_if(list_contains(opinions, if(stars = 5, 'bad', 'good'))) over (partition by key, aspect) as against
    from reviews.clauses where stars in (1, 5) and aspect is not null
)
select category, kind, item, held, groups, key, aspects, aspect, sentiment, clause as snippet, lot
from agreed
where against = 0 and opinions = [word] and length(clause) <= 120
    and not regexp_matches(lower(clause), '\b(?:if|would|could|should|needs?|needed|other colou?rs?|other reviews?|reviewers?|hope|hopefully|wish|until|except|unless|stars?|but|although|my old|the old|other ones?|supposed|weather)\b')
    and not (sentiment = 'positive' and regexp_matches(lower(clause), '\b(?:a (?:little|bit|tad)|slightly|somewhat|kind of|sort of|not|no|never|nothing|hardly|barely|without)\b|n[''’]t\b'))
    and not (sentiment = 'negative' and regexp_matches(lower(clause), '\b(?:no|never|without)\b'))
qualify row_number() over (partition by category, lower(clause) order by lot) = 1;

-- Items with a title that can be shown: of 10 to 250 characters, English, without HTML. `category` is the last name of its
-- path in the tree of categories, null where it has none, where more than a tenth of the items of that name have another path,
-- or where the name tells little (`Women`, `Accessories`); `trail` is the path as one text, `above` that of the category's parent, `top` the first name. `brand` is
-- the store, null where it has none of a name's length.
create table reviews.products as
with item as (
    select parent_asin as product_id, replace(trim(regexp_replace(title, '\s+', ' ', 'g')), '&amp;', '&') as title,
        if(length(trim(store)) between 2 and 40, known_brand(store), null) as brand, features, description, details,
        list_filter(categories, lambda name: length(name) > 1) as path,
        array_to_string(path, ' > ') as trail, array_to_string(path[:-2], ' > ') as above, path[1] as top, path[-1] as leaf
    from reviews.items where length(title) between 10 and 250
),
leaf as (
    select trail, leaf from item where len(path) >= 2 group by trail, leaf
    qualify count(*) >= 0.9 * sum(count(*)) over (partition by lower(leaf)) and not regexp_full_match(lower(leaf),
        '(?:wo)?men|girls|boys|unisex|kids|baby|adults?|others?|accessories|parts|sets|general|bundles')
)
select item.* exclude (leaf), leaf.leaf as category from item left join leaf using (trail)
where not regexp_matches(title, '&#?\w+;|[<>]') and in_language(title, 'en');

-- The categories of these items, with the number of items. `words` are those of the name (`singulars`), `shelf` is the name behind that
-- of its parent, as in `Cats > Hygiene`: alone it may tell little.
create table reviews.categories as
select category, trail, above, top, count(*) as items, singulars(category) as words,
    array_to_string(string_split(trail, ' > ')[-2:], ' > ') as shelf
from reviews.products where category is not null group by all;

-- What the pages tell of the items in their details, of up to 120,000 items: each as `name` and `value`. Data of the parcel,
-- dates, numbers of the item and its maker are none. `given` is the value without regard to case.
create table reviews.details as
with drawn as (
    select product_id, title, category, details from reviews.products
    qualify row_number() over (order by draw(product_id)) <= 120000
),
told as (
    select * exclude (details), unnest(map_entries(try_cast(details as map(varchar, varchar))), recursive := true) from drawn
)
select product_id, title, category, trim(regexp_replace(key, ' *\([^)]*\)|\s+$', '', 'g')) as name,
    trim(regexp_replace(value, '[\s\x{200E}\x{200F}]+', ' ', 'g')) as value, lower(value) as given
from told
where length(trim(key)) between 3 and 40 and length(trim(value)) between 1 and 60
    and not regexp_matches(lower(key), 'package|dimension|\bdate\b|model|\bpart\b|number of items|\b(?:upc|asin|isbn|ean|gtin)\b|\brank|manufactur|discontinued|country|origin|review|brand|warranty|unit count|quantity|batteries|trade|import|domestic|weight$')
    and not regexp_matches(lower(value), '^(?:n/?a|none|no|yes|other|unknown|see description|does not apply|not applicable|generic|default|-+)$|^[{[]|[<>]');

-- How many items of a category tell an attribute in their details, and how many of all that have details. A category has 200
-- such items or more; in smaller seeds as many as one in 2,500 of all items, and 12 at least.
create table reviews.attributes as
with described as (select distinct product_id, category, name from reviews.details where category is not null),
sized as (
    select category, count(distinct product_id) as many, sum(many) over () as whole from described group by category
    qualify many >= least(200, greatest(12, whole / 2500))
)
select category, name, count(*) as items, many, count(*) / many as share
from described join sized using (category) group by category, name, many;

-- The values of such attributes in a category, and how many items have each.
create table reviews.values as
select category, name, given, min(value) as value, count(distinct product_id) as items
from reviews.details semi join reviews.attributes using (category, name) group by category, name, given;

-- Who reviewed which items in which week, of users who are drawn by chance so that they wrote about 1,500,000 reviews. `buyer`
-- is a number for the user.
create table reviews.purchases as
select distinct user_id as buyer, timestamp // 604800000 as week, parent_asin as product_id
from reviews.reviews semi join (select product_id as parent_asin from reviews.products) using (parent_asin)
where user_id < (select 1500000 / count(*) from reviews.reviews) * 18446744073709551616;

-- What such a user bought within a week: `basket` is a number for user and week. Baskets have two to ten items; those of whom
-- writes more in a week are no purchases of that week.
create table reviews.baskets as
select draw(buyer || '|' || week) as basket, product_id from reviews.purchases
qualify count(*) over (partition by buyer, week) between 2 and 10;

-- Pairs of items in one basket, both ways, with their categories.
create table reviews.together as
select basket, one.product_id, other.product_id as other_id, product.category, beside.category as other
from reviews.baskets as one join reviews.baskets as other using (basket)
    join reviews.products as product on product.product_id = one.product_id
    join reviews.products as beside on beside.product_id = other.product_id
where one.product_id <> other.product_id and product.category is not null and beside.category is not null;

-- Categories that are bought together, both ways: in how many baskets, and how often as much as chance would have it (`lift`).
create table reviews.companions as
with pair as (select distinct basket, category, other from reviews.together),
alone as (select category, count(distinct basket) as baskets from pair group by category),
whole as (select count(distinct basket) as baskets from pair)
select pair.category, other, count(*) as baskets,
    count(*) * max(whole.baskets) / (max(one.baskets) * max(beside.baskets)) as lift
from pair join alone as one on one.category = pair.category join alone as beside on beside.category = other, whole
group by pair.category, other;

-- The brands that such a user bought, where they are two to twenty.
create table reviews.tastes as
select distinct buyer, brand, top from reviews.purchases join reviews.products using (product_id) where brand is not null
qualify count(*) over (partition by buyer) between 2 and 20;

-- Brands with buyers in common, both ways: how many of them, and how often as much as chance would have it. Brands have
-- twenty buyers or more.
create table reviews.kindred as
with known as (
    select * from reviews.tastes qualify count(*) over (partition by brand) >= 20
),
alone as (select brand, count(distinct buyer) as buyers from known group by brand),
whole as (select count(distinct buyer) as buyers from known)
select one.brand, other.brand as other, count(distinct buyer) as buyers,
    count(distinct buyer) * max(whole.buyers) / (max(mine.buyers) * max(its.buyers)) as lift
from known as one join known as other using (buyer) join alone as mine on mine.brand = one.brand
    join alone as its on its.brand = other.brand, whole
where one.brand <> other.brand group by one.brand, other.brand;
