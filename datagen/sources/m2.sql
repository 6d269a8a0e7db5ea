-- What was looked at in sessions, a row for each product: up to 20,000 sessions of each marketplace, drawn by chance. `place`
-- counts them from 1, each where it came first, and `last` marks what the session ended with.
create table m2.steps as
with drawn as (
    select locale, unnest(min({lot: draw(prev_items), before: prev_items, after: next_item}, 20000), recursive := true)
    from m2.sessions where len(prev_items) > 1 and not list_contains(prev_items, next_item) group by locale
),
step as (
    select locale, lot, md5(array_to_string(before, ' ') || ' ' || after)[:12] as session, after,
        unnest(before || [after]) as id, generate_subscripts(before || [after], 1) as place
    from drawn
)
select locale, language(locale) as language, session, min(lot) as lot, id, min(place) as place, bool_or(id = after) as last
from step where id is not null group by locale, session, id;

-- What the page of a product says, of those in `m2.steps`, in every marketplace that has it. `title` has 10 to 300 characters, `price`
-- is null where the publisher filled it up, `brand`, `color`, `size` and `material` are null where they say nothing.
-- `words` are those of the title that can tell what it is: of four letters or more, of Japanese two or three characters.
create table m2.pages as
with seen as (select distinct id from m2.steps),
page as (
    select locale, language(locale) as language, id,
        trim(regexp_replace(regexp_replace(title, '[\x{200b}-\x{200f}\x{feff}\x{ad}]', '', 'g'), '\s+', ' ', 'g')) as title,
        if(price between 0.01 and 1000000, price, null) as price, known_brand(plain(brand, 40)) as brand, plain(color, 30) as color,
        plain(size, 30) as size, plain(material, 40) as material, plain(author, 60) as author, "desc" as description
    from m2.products semi join seen using (id) where length(title) between 10 and 400
)
select *, list_distinct(regexp_extract_all(lower(title), '[\p{Latin}\p{N}]{4,}|[\p{Katakana}ー]{3,}|\p{Han}{2,}')) as words
from page where length(title) between 10 and 300 and not regexp_matches(title, '&#?\w+;|<[^>]*>|[.]{3}$');
