-- Every judgement of a query that a task can ask about. Queries that ask for something to be absent (`negations` in
-- ESCI's sources) or for a price (`prices`) are not among them: judges often took a product for exact that has what is
-- not wanted, and no column of a product tells a price. `label` is how the product answers the query: `E` exact, `S` substitute,
-- `C` complement or `I` irrelevant; `gain` is what that is worth in a ranking: 1, 0.1, 0.01 or 0. `lot` is a large whole number
-- by chance, the same in every build, to order judgements by. `ticket` is about the query's place by chance among those of its
-- marketplace: where `ticket < 10000`, some 10,000 queries of each are drawn, with all of their judgements.
create table esci.judged as
with unfit as (select query_id from esci.sources where source in ('negations', 'prices')),
market as (
    select product_locale, language(product_locale) as language, count(distinct query_id) as queries from esci.examples group by all
)
select product_locale as locale, language, query_id, trim(query) as query, product_id,
    esci_label as label, case esci_label when 'E' then 1.0 when 'S' then 0.1 when 'C' then 0.01 else 0.0 end::double as gain,
    split, draw(query_id || '|' || product_id) as lot, (draw(query_id) / 18446744073709551616 * queries)::int as ticket
from esci.examples anti join unfit using (query_id) join market using (product_locale)
where length(trim(query)) > 1 and esci_label in ('E', 'S', 'C', 'I');

-- Products with a title that can be shown: of 3 to 300 characters, without HTML, and not for adults alone, by its words. `brand` and
-- `color` are null where the catalogue has none of a name's length. `ticket` is about the product's place by chance among
-- those of its marketplace, as above.
create table esci.titles as
with market as (select product_locale, language(product_locale) as language, count(*) as products from esci.products group by all)
select product_locale as locale, language, product_id, (draw(product_id) / 18446744073709551616 * products)::int as ticket,
    trim(product_title) as title, if(length(trim(product_brand)) between 2 and 40, known_brand(product_brand), null) as brand,
    if(length(trim(product_color)) between 1 and 30, trim(product_color), null) as color
from esci.products join market using (product_locale)
where length(product_title) <= 300 and regexp_matches(product_title, '(?s)\S.+\S') and not regexp_matches(product_title, '&#?\w+;')
    and len(adult_in(product_title, language)) = 0;

-- Those of the titles with the rest of their pages, for some 100,000 of each marketplace: `description`, and `points`, which are
-- the bullet points, a line each.
create table esci.shelf as
with page as materialized (
    select product_locale as locale, product_id, product_description as description, product_bullet_point as points
    from esci.products semi join (select locale as product_locale, product_id from esci.titles where ticket < 100000)
        using (product_locale, product_id)
)
select titles.*, description, points from esci.titles join page using (locale, product_id);

-- The same with `bullets`, six of the bullet points at most, without HTML, of 10 to 400 characters in the shop's language, that
-- say more than the parcel's data.
create view esci.pages as
select *, bullet_points(points, language) as bullets from esci.shelf;

-- Up to 60,000 American products whose description may be of full sentences, which are few.
create view esci.described as
with drawn as (  -- by their ids, as a sort would copy the texts
    select product_locale, product_id from esci.products
    where product_locale = 'us' and length(product_description) between 60 and 2000
        and regexp_matches(product_description, '^\s*[\p{Lu}\p{N}"<]') and regexp_matches(product_description, '[.!>]\s*$')
        and not regexp_matches(product_description, ':[^:]*:|//|[►•●■★✔✅➤]')
    order by draw(product_id), product_id limit 60000
),
page as materialized (
    select product_locale as locale, product_id, product_description as description, product_bullet_point as points
    from esci.products semi join drawn using (product_locale, product_id)
)
select distinct titles.*, description, points from esci.titles join page using (locale, product_id);

-- American products with headings before their bullet points, as in `Easy to clean: ...` (`parts`, as `headed_lines` gives them):
-- of some 200,000.
create table esci.headed as
with page as (
    select distinct product_locale as locale, product_id, product_bullet_point as points
    from esci.products semi join (select locale as product_locale, product_id from esci.titles where locale = 'us' and ticket < 200000)
        using (product_locale, product_id)
),
headed as materialized (select locale, product_id, headed_lines(points) as parts from page)
select titles.*, parts from esci.titles join headed using (locale, product_id) where len(parts) > 0;

-- The text of every query and its words (`words_of`), where it is not for adults alone, which a task can ask how much of a title they are. `musts` are those that a product
-- can't do without: words with a digit, and the brands of exact products that the query names, the first word of each.
create table esci.queries as
with made as materialized (select locale, product_id, maker(brand) as maker from esci.titles where length(maker(brand)) > 2),
named as (
    select locale, query_id, list(distinct maker order by maker) as makers
    from esci.judged join made using (locale, product_id)
    where label = 'E' and contains(' ' || lower(query) || ' ', if(language = 'ja', maker, ' ' || maker || ' '))
    group by locale, query_id
)
select locale, min(language) as language, min(split) as split, query_id, min(query) as query, words_of(min(query), min(language)) as words,
    regexp_extract_all(lower(min(query)), '[\p{L}\d.]*\d[\p{L}\d.]*') || coalesce(min(makers), []) as musts
from esci.judged left join named using (locale, query_id) group by locale, query_id
having len(adult_in(min(query), min(language))) = 0;

-- Judgements with titles in the shop's language. `overlap` is the share of the query's words that the title has. `backed` tells
-- whether title, brand and color bear the judgement out, as one in four reads wrong: of an exact product they have half of the
-- query's words at least, and all that it can't do without; of a substitute some and not all; of a complement some; of what
-- is irrelevant none (of Japanese, hardly a pair of characters). What is told in sentences was judged at random where it is no exact product's.
create table esci.titled as
with asked as materialized (  -- or else queries would meet all pages of their marketplace
    select judged.*, heads, musts from esci.judged join (
        select locale, query_id, [begun(word, language) for word in words] as heads, musts from esci.queries) using (locale, query_id)
),
page as (
    select asked.*, product_ticket, title, brand, color, searched(title, language) as text, concat_ws(' ', brand, color) as beside
    from asked join (
        select * exclude (language) rename (ticket as product_ticket) from esci.titles where in_language(title, language)
    ) using (locale, product_id)
),
met as (
    select * exclude (text), list_filter(heads, lambda head: not contains(text, head)) as lacks,
        ((len(heads) - len(lacks)) / nullif(len(heads), 0))::float as overlap
    from page
),
shared as (  -- a text is searched only where the title's share does not tell already
    select *, case when (label = 'E' and overlap < 0.5 or label = 'I' and overlap = 0) and beside <> ''
        then (len(heads) - len(list_transform([searched(beside, language)],
            lambda text: list_filter(lacks, lambda head: not contains(text, head)))[1])) / nullif(len(heads), 0)
        else overlap end as share
    from met
)
select * exclude (heads, musts, beside, share, lacks), case label
    when 'E' then case when share < 0.5 then false when musts = [] then true
        else len(found_in(musts, title || ' ' || beside)) = len(musts) end
    when 'S' then overlap > 0 and overlap < 1
    when 'C' then overlap > 0 and length(query) <= 80
    else share < if(language = 'ja', 0.2, 0.01) and length(query) <= 80 end as backed
from shared;

-- For a query the others that ask for something else: an exact product of theirs was judged a complement or irrelevant for it.
create view esci.away as
select unfit.locale, unfit.query_id, list(distinct {query_id: other.query_id, query: other.query}) as others
from esci.titled as unfit join esci.titled as other using (locale, product_id)
where unfit.label in ('C', 'I') and unfit.backed and other.label = 'E' and other.backed and length(other.query) <= 100
group by all;

-- The same with names: `key` is that of a judgement, `groups` are its query and its product.
create view esci.pairs as
select *, locale || '/' || query_id || '/' || product_id as key,
    ['query:' || locale || ':' || query_id, 'product:' || locale || ':' || product_id] as groups
from esci.titled;

-- What a query asks for, and what its products show, by attribute (`kind`): the words `asked` are those of the query, `shown`
-- those of title and color, null where they say nothing. Of up to four products judged exact and four judged substitutes;
-- a brand is asked for if an exact product has it.
create table esci.wishes as
with pair as (
    select *, maker(brand) as maker from esci.titled where label in ('E', 'S')
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

-- Bullet points that tell of a product, of some 8,000 products of each marketplace: texts are long. Sellers mark theirs
-- each in a way of their own (`✅ Light - ...`, `【LIGHT】...`): marks are taken off and headings written alike, or else
-- a product's would be known by their looks. Left out is what more than three products in 10,000 say, what could stand
-- on any page (guarantees, ideas for gifts, data of a parcel), HTML, and what is in another language. `words` are those of
-- four letters or more in the title, and `shared` is how many of them a bullet point has.
create view esci.bullets as
with drawn as (
    select locale, language, product_id, title, count(*) over (partition by locale) as sold
    from esci.shelf where ticket < 8000 and length(points) > 60
),
line as (
    select drawn.*, unnest(string_split(points, chr(10))).trim() as line from drawn join esci.shelf using (locale, product_id)
),
rare as materialized (
    select *, unmarked(line) as text from line where length(line) between 20 and 250
    qualify count(*) over (partition by locale, lower(line)) <= greatest(3, 0.0003 * sold)
),
headed as (select *, text[:instr(text, ': ')] as heading from rare where length(text) between 20 and 200),
clean as (
    select distinct locale, language, product_id, title, upper(text[1])
        || if(heading = upper(heading), lower(heading[2:]), heading[2:]) || text[greatest(length(heading), 1) + 1:] as bullet
    from headed where in_language(text, language)
        and not (regexp_matches(text, '[<>]|&#?\w+;|&#\d') or of_seller(text) or of_parcel(text))
)
select *, regexp_extract_all(lower(title), '[\p{L}\p{N}]{4,}') as words,
    len(found_in(words, bullet)) as shared
from clean;

-- For every query others of the same split that share a word with it: up to sixteen for each of its words, by their `query_id`.
create table esci.kin as
with worded as (
    select locale, split, query_id, unnest(words) as word from esci.queries
),
beside as (
    select locale, split, query_id, word, list(query_id) over (
        partition by locale, split, word order by draw(query_id || '|' || word) rows between 1 following and 16 following
    ) as others from worded
)
select locale, split, query_id, list_distinct(flatten(list(others order by word))) as others from beside group by all;

-- Queries that are not misspelt: all of their words stand in the title of some exact product; of one word alone, it stands there
-- whole. Of a Japanese query half of its pairs of characters do, each word in katakana, and those that are misspelt most: what stands in
-- hiragana for katakana (`かばー`), and short words of kanji.
create table esci.spelled as
select locale, query_id from esci.titled where label = 'E' and (  -- no `case`, which would ask for the words of every title
    locale = 'jp' and overlap >= 0.5 and len([word for word in regexp_extract_all(query, '[\p{Katakana}ー]{3,}|\p{Hiragana}+ー')
            || list_filter(string_split(query, ' '), lambda part: regexp_full_match(part, '\p{Han}{2,3}'))
        if not contains(replace(title, ' ', ''), word)]) = 0
    or locale <> 'jp' and coalesce(overlap, 1) = 1
        and (contains(query, ' ') or list_has_all(words_of(title, language), words_of(query, language))))
group by all;

-- For every product a query that it answers exactly, one by chance of those that its page bears out, that ask for nothing
-- to be absent and are not misspelt: it can be guessed. Three in four of its words stand in the title, as half of the products
-- that have fewer read wrong. It names more than an audience, a color or an age.
create table esci.guesses as
with fitting as (
    select locale, product_id, min({lot: lot, query_id: query_id, query: query, split: split}) as best
    from esci.titled semi join esci.spelled using (locale, query_id)
    where label = 'E' and backed and overlap >= if(locale = 'jp', 0.65, 0.75) and length(query) between 3 and 80
        and not regexp_matches(lower(query), '#|\b(?:without|no|not|sin)\b|[\p{Han}\p{Katakana}ー](?:なし|無し)')
    group by all
)
select locale, product_id, best.query_id as query_id, best.query as query, best.split as split
from fitting where locale = 'jp' and length(best.query) > 4  -- has no blanks: the word for what it is may hold an audience
    or len(type_words(regexp_replace(best.query, '(?i)\d+ ?(?:años?|meses|years?|months?|歳)(?: old)?', ' ', 'g'), language(locale))) > 0;

-- Measures that titles tell (`measures_in`), of up to 100,000 products of each marketplace: every number with a unit, but in a
-- brand's name. `sound` is
-- whether it is one amount and no other: not one end of a range, a fraction, `up to` or `for` so much, an amount `per` something or
-- of an ingredient. `packs` are the numbers in which the product comes, in the title's words, and `packed` that in `12 x 330 ml`.
-- Ounces of what is eaten are of weight; others may be of weight or of a liquid, and so are of the kind `ounces`.
create table esci.measures as
with drawn as (
    select locale, language, product_id, title, packs_in(title) as packs,
        if(regexp_matches(brand, '\d') and starts_with(lower(title), lower(brand)), title[length(brand) + 1:], title) as named
    from esci.titles where may_measure(title)
    qualify row_number() over (partition by locale order by draw(product_id)) <= 100000
),
told as (select * exclude (named), unnest(measures_in(named, language), recursive := true) from (select distinct * from drawn)),
units as (select language, if(language = 'ja', word, strip_accents(word)) as word, canonical as unit from lists.units)
select * exclude (previous), if(unit = 'oz' and of_food(title), 'weight', unit_kind(unit)) as kind, number_told(number, language) as value,
    nullif(if(kind = 'length', '', regexp_extract(times || chain, '^(\d{1,3}) ?[x×*]? ?$', 1)), '')::integer as packed,
    coalesce(value > 0 and behind = '' and (chain = '' and times = '' or packed > 1) and between = ''
        and begins_number(ahead || before, language) and not of_other_amount(previous, language), false) as sound
from told join units using (language, word);

-- The one amount of a kind that a title tells: `value` in `unit`, of the `kind` weight, volume, length, pieces or ounces, and `pack`,
-- how many of these come together; null where the title says nothing of it. `size` is the value in grams, milliliters or millimeters,
-- `kinds` the number of kinds that the title tells amounts of. Left out are titles that tell two amounts of a kind or two packs, that
-- tell of sets, of parts, of what is included or of so many bottles, a weight of paper or for a scale, and amounts that no product of a shop has.
create table esci.amounts as
with one as (
    select locale, language, product_id, title, kind, min(unit) as unit, min(word) as word, min(value) as value,
        list_distinct(min(packs) || coalesce(list(packed) filter (packed is not null), [])) as packs,
        bool_and(sound) and count(distinct (value, unit)) = 1 as sound
    from esci.measures group by all
),
counted as (select *, count(*) over (partition by locale, product_id) as kinds from one)
select * exclude (sound, packs), list_max(packs) as pack, value * unit_size(unit) as size,
    locale || '/' || product_id as key, ['product:' || locale || ':' || product_id] as groups
from counted where sound and len(packs) < 2 and coalesce(list_max(packs), 1) between 1 and 200 and size between 1
    and case kind when 'weight' then 50000 when 'volume' then 200000 when 'length' then 100000 when 'ounces' then 15000 else 5000 end
    and not (kind = 'pieces' and (value < 2 or value <> floor(value))) and not (kind = 'weight' and of_other_weight(title)) and not of_sets(title)
    and (kind = 'length' or not of_part(title))
    and (kind in ('pieces', 'length') or coalesce(parts_told(title) = list_max(packs), parts_told(title) is null));

-- Titles that tell one width and one depth, as in `4 x 6 ft`, and no other length: `sides`, the shorter first, in `unit`.
create table esci.rectangles as
with one as (
    select locale, language, product_id, title, min(unit) as unit, min(word) as word, min(chain) as chain, min(value) as value
    from esci.measures where kind = 'length' group by all
    having count(*) = 1 and regexp_full_match(min(ahead || between || behind || times), '[(\[]?')
),
read as (select *, number_told(regexp_extract(chain, '^[\d.,]*\d'), language) as other from one)
select locale, language, product_id, title, unit, [least(value, other), greatest(value, other)] as sides,
    locale || '/' || product_id as key, ['product:' || locale || ':' || product_id] as groups
from read where regexp_full_match(chain, '[\d.,]+ ?(?:' || word || ')? ?[x×*] ?') and unit in ('in', 'ft', 'cm')
    and sides[1] * unit_size(unit) >= 20 and sides[2] * unit_size(unit) <= 10000;
