-- What its publisher trains on, each input once, whatever the instruction above it. Left out is an input that stands in another
-- split too, or again with another output. `options` are read from JSON and from Python's print of a list, and `place` is that
-- of the right one, where the output names one by its letter.
create table ecinstruct.trained as
with once as (
    select task, input, min(options) as printed, min(output) as output
    from ecinstruct.rows group by task, input
    having bool_and(split = 'train' and setting like 'IND%') and min(output) = max(output) and length(min(output)) > 0
),
split as (
    select * exclude (printed), list_transform(
        string_split(regexp_replace(printed[3:length(printed) - 2], '[''"], ?[''"]([A-T]: )', chr(30) || '\1', 'g'), chr(30)),
        lambda option: replace(replace(option, '\''', ''''), '\"', '"')) as lettered
    from once
)
select task, lower(task) || '/' || left(md5(input), 16) as key, replace(input, ': NaN', ': null') as input,
    output, list_transform(lettered, lambda option: regexp_replace(trim(option[4:]), '&#?\w+;', '', 'g')) as options,
    if(regexp_full_match(output, '[A-T](?::.*)?'), ascii(output) - 65, null) as place
from split;

-- The texts of its test split: nothing that is close to them should be trained on.
create view ecinstruct.evaluation as
select distinct if(json_valid(input) and json_type(input) = 'OBJECT', array_to_string(input->>'$.*', ' '), input) as text
from ecinstruct.rows where split = 'test';

-- Product pages with one attribute that was looked for, and its `values` in capitals or not, none where the page does not tell.
-- `stated` are those that the title has, as it writes them.
create table ecinstruct.pages as
with page as (
    select key, trim(input->>'product title') as title, trim(input->>'product description') as description,
        coalesce(input->>'product features', input->>'product feature') as features, input->>'product brand' as brand,
        from_json(output, '[{"attribute": "VARCHAR", "value": "VARCHAR"}]') as found
    from (select key, if(json_valid(input), input, '{}')::json as input, if(json_valid(output), output, '[]')::json as output
        from ecinstruct.trained where task = 'Attribute_Value_Extraction')
)
select key, ['product: ' || lower(title)] as groups, title, description,
    lower(concat_ws(' ', title, description, features, brand)) as page,
    found[1].attribute as attribute,
    list_sort(list_distinct(
        [value.value for value in found if value.value <> 'None' and length(value.value) between 2 and 40])) as values,
    list_filter([cited(title, value) for value in values if not contains(value, ',')],
        lambda value: value is not null) as cites,
    [value for value in cites
        if not list_bool_or([other <> value and contains(lower(other), lower(value)) for other in cites])] as stated
from page
where length(title) between 15 and 300 and not regexp_matches(title, '&#?\w+;|<')
    and len(list_distinct([value.attribute for value in found])) = 1;

-- The values of each attribute on all pages; `known` is how many pages have it.
create view ecinstruct.values as
select attribute, value, count(*) as known from (select attribute, unnest(values) as value from ecinstruct.pages) group by all;

-- Queries and products with the relation between them, as ESCI's labels name it: `E` exact, `S` substitute, `C` complement,
-- `I` irrelevant. Left out are those that the words don't bear out (`borne_out`), and queries that ask for something to be absent.
create view ecinstruct.judged as
select key, ['query: ' || lower(query)] as groups, query, title, label, draw(key) as lot
from (select key, trim(input->>'query') as query, trim(input->>'product title') as title, 'ESCI'[place + 1] as label
    from ecinstruct.trained where task = 'Multiclass_Product_Classification' and json_valid(input))
where length(query) > 1 and length(title) between 3 and 300 and label <> '' and not regexp_matches(title, '&#?\w+;|<')
    and not regexp_matches(lower(query), '\b(?:without|no|not)\b')
    and borne_out(label, query, title, overlap(words_of(query, 'en'), title, 'en'), 'en');

-- Reviews with what their writers think, from 0 (very positive) to 4 (very negative). Those with links or HTML are left out.
create table ecinstruct.opinions as
select key, text, place as opinion, draw(key) as lot
from (select key, place, trim(regexp_replace(input, '\s+', ' ', 'g')) as text
    from ecinstruct.trained where task = 'Sentiment_Analysis')
where place between 0 and 4 and length(text) between 20 and 1200 and not regexp_matches(text, '<|https?:|&#?\w+;|www\.');

-- What somebody bought, the last eight of it, and twenty products, of which `place` is what was bought next.
create view ecinstruct.histories as
select * from (
    select key, list_transform(
        string_split(regexp_replace(input[3:length(input) - 2], '[''"], ?[''"](\d+(?:st|nd'
            || '|rd|th): )', chr(30) || '\1', 'g'), chr(30)),
        lambda item: trim(regexp_replace(replace(item, '\''', ''''), '^\d+\w+: |&#?\w+;', '', 'g')))[-8:] as bought, options, place
    from ecinstruct.trained where task = 'Sequential_Recommendation'
)
where len(options) between 4 and 20 and place < len(options) and not list_contains(bought, options[place + 1])
    and not list_bool_or([contains(item, '\') for item in bought || options]);

-- Questions about a product, what reviewers write that may answer them, and an answer where one was wanted.
create view ecinstruct.questions as
select * from (
    select key, task, trim(input->>'question') as query, output, list_filter(list_transform(
        from_json(coalesce(input->'document', '[]'), '["VARCHAR"]'),
        lambda part: trim(regexp_replace(part, '\s+', ' ', 'g'))), lambda part: length(part) > 1) as reviews
    from (select key, task, if(json_valid(input), input, '{}')::json as input, output
        from ecinstruct.trained where task in ('Answerability_Prediction', 'Answer_Generation'))
)
where length(query) between 8 and 300 and len(reviews) > 0 and length(reviews::varchar) < 3500
    and not regexp_matches(query || reviews::varchar, '<\w|https?:|www\.');
