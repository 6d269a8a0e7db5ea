-- Every judgement of a query that a task can ask about. Queries that ask for something to be absent (`negations` in
-- ESCI's sources) or for a price (`prices`) are not among them: judges often took a product for exact that has what is
-- not wanted, and no column of a product tells a price.
create table esci.judged as
with unfit as (select query_id from esci.sources where source in ('negations', 'prices'))
select product_locale as locale, language(product_locale) as language, query_id, trim(query) as query, product_id,
    esci_label as label, case esci_label when 'E' then 1.0 when 'S' then 0.1 when 'C' then 0.01 else 0.0 end::double as gain,
    split, draw(query_id || '|' || product_id) as lot
from esci.examples anti join unfit using (query_id)
where length(trim(query)) > 1 and esci_label in ('E', 'S', 'C', 'I');

-- Titles that can be shown, of 3 to 300 characters, with the product's brand and color where they are known.
create view esci.titles as
select product_locale as locale, language(product_locale) as language, product_id, trim(product_title) as title,
    known_brand(product_brand) as brand, nullif(trim(product_color), '') as color
from esci.products where length(trim(product_title)) between 3 and 300;

-- The words of every query (`words_of`), which a task can ask how much of a title they are.
create table esci.queries as
select locale, query_id, words_of(min(query), min(language)) as words
from esci.judged group by locale, query_id;

-- Judgements with titles. `overlap` is the share of the query's words that the title has.
create table esci.titled as
select judged.*, title, brand, color, overlap(words, title, language)::float as overlap
from esci.judged join esci.queries using (locale, query_id)
    join (select * exclude (language) from esci.titles) using (locale, product_id);

-- The same with names: `key` is that of a judgement, `groups` are its query and its product.
create view esci.pairs as
select *, locale || '/' || query_id || '/' || product_id as key,
    ['query:' || locale || ':' || query_id, 'product:' || locale || ':' || product_id] as groups
from esci.titled;

-- What a query asks for, and what its products show, by attribute (`kind`): the words `asked` are those of the query, `shown`
-- those of title and color, null where they say nothing. Of up to four products judged exact and four judged substitutes;
-- a brand is asked for if an exact product has it.
create view esci.wishes as
with pair as (
    select *, regexp_extract_all(lower(brand), '^[^ (（]+')[1] as maker from esci.titled where label in ('E', 'S')
    qualify row_number() over (partition by locale, query_id, label order by lot) <= 4
), asked as (
    select locale, query_id, unnest(attributes_in(query, language), recursive := true)
    from (select distinct locale, language, query_id, query from pair)
    union all
    select locale, query_id, 'brand', list(distinct maker order by maker) from pair
    where label = 'E'
        and (contains(' ' || lower(query) || ' ', ' ' || maker || ' ') or language = 'ja' and contains(lower(query), maker))
    group by locale, query_id
)
select locale, query_id, product_id, label, kind, words as asked,
    nullif(if(kind = 'brand', list_filter([maker], lambda maker: maker is not null),
        attribute_words(kind, concat_ws(' ', title, color), language)), []) as shown
from pair join asked using (locale, query_id);
