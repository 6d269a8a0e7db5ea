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

-- Titles that can be shown: of 3 to 300 characters.
create view esci.titles as
select product_locale as locale, language(product_locale) as language, product_id, trim(product_title) as title
from esci.products where length(trim(product_title)) between 3 and 300;

-- The words of every query (`words_of`), which a task can ask how much of a title they are.
create table esci.queries as
select locale, query_id, words_of(min(query), min(language)) as words
from esci.judged group by locale, query_id;

-- Judgements with titles. `key` names one, `groups` are its query and its product, and `overlap` is the share of the
-- query's words that the title has.
create view esci.pairs as
select judged.*, title, overlap(words, title) as overlap, locale || '/' || query_id || '/' || product_id as key,
    ['query:' || locale || ':' || query_id, 'product:' || locale || ':' || product_id] as groups
from esci.judged join esci.queries using (locale, query_id)
    join (select locale, product_id, title from esci.titles) using (locale, product_id);
