-- Items with a title that can be shown: of 10 to 250 characters, English, without HTML. `category` is the last name of its
-- path in the tree of categories, null where it has none, where another path ends in the same name, or where that is only
-- one of people; `trail` is the path as one text, `above` that of the category's parent, `top` the first name. `brand` is
-- the store, null where it has none of a name's length.
create table reviews.products as
with item as (
    select parent_asin as product_id, replace(trim(regexp_replace(title, '\s+', ' ', 'g')), '&amp;', '&') as title,
        if(length(trim(store)) between 2 and 40, known_brand(store), null) as brand, features, description,
        list_filter(categories, lambda name: length(name) > 1) as path,
        array_to_string(path, ' > ') as trail, array_to_string(path[:-2], ' > ') as above, path[1] as top, path[-1] as leaf
    from reviews.items where length(title) between 10 and 250
),
unclear as (
    select leaf from item group by leaf
    having count(distinct trail) > 1 or regexp_full_match(lower(leaf), '(?:wo)?men|girls|boys|unisex|kids|baby|adults?|others?|accessories|parts|sets|general|bundles')
)
select item.* exclude (leaf), if(len(path) >= 2 and unclear.leaf is null, item.leaf, null) as category
from item left join unclear on lower(unclear.leaf) = lower(item.leaf)
where not regexp_matches(title, '&#?\w+;|[<>]') and in_language(title, 'en');

-- The categories of these items, with the number of items. `words` are those of the name (`singulars`).
create table reviews.categories as
select category, trail, above, top, count(*) as items, singulars(category) as words
from reviews.products where category is not null group by all;

-- What the pages tell of the items in their details, of up to 200,000 items: each as `name` and `value`. Data of the parcel,
-- dates, numbers of the item and its maker are none. `given` is the value without regard to case.
create table reviews.details as
with drawn as (
    select product_id, title, category, draw(product_id) as lot from reviews.products
    qualify row_number() over (order by lot) <= 200000
),
told as (
    select drawn.*, unnest(map_entries(try_cast(details as map(varchar, varchar))), recursive := true)
    from drawn join (select parent_asin as product_id, details from reviews.items) using (product_id)
)
select product_id, title, category, trim(regexp_replace(key, ' *\([^)]*\)|\s+$', '', 'g')) as name,
    trim(regexp_replace(value, '[\s\x{200E}\x{200F}]+', ' ', 'g')) as value, lower(value) as given
from told
where length(trim(key)) between 3 and 40 and length(trim(value)) between 1 and 60
    and not regexp_matches(lower(key), 'package|dimension|\bdate\b|model|\bpart\b|number of items|\b(?:upc|asin|isbn|ean|gtin)\b|\brank|manufactur|discontinued|country|origin|review|brand|warranty|unit count|quantity|batteries|trade|import|domestic|weight$')
    and not regexp_matches(lower(value), '^(?:n/?a|none|no|yes|other|unknown|see description|does not apply|not applicable|generic|default|-+)$|[<>]');

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

-- What users bought within a week: for every item that a user reviewed, `basket` is a number for user and week. Baskets have
-- two to ten items; those of whom writes more in a week are no purchases of that week.
create table reviews.baskets as
select distinct draw(user_id || '|' || timestamp // 604800000) as basket, parent_asin as product_id
from reviews.reviews semi join (select product_id as parent_asin from reviews.products) using (parent_asin)
qualify count(*) over (partition by basket) between 2 and 10;

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

-- The brands that a user bought, of users with two to twenty; `buyer` is a number for the user.
create table reviews.tastes as
select distinct draw(user_id) as buyer, brand, top
from reviews.reviews join (select product_id as parent_asin, brand, top from reviews.products where brand is not null) using (parent_asin)
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
