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

-- Judged products that have a title, with the words that query and title share: `shared` out of `asked` words of the query.
-- Stop words such as `for` don't count.
create table esci.shown as
with worded as (
    select *, list_filter(words_of(query), lambda word: not list_contains(stop_words_in(query, language), word)) as words
    from esci.judged join esci.titles using (locale, language, product_id)
)
select * exclude (words), len(words) as asked, len(list_intersect(words, words_of(title))) as shared from worded;
