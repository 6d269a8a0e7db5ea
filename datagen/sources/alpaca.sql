-- Every instruction, with the `reason` why it is left out, null where it is fit. A model wrote the answers, so some are of no
-- use: `empty` ones; `code`; a `link`, which was made up; a `wrong_sum`; any other `calculation`, as they are often wrong;
-- `puzzle`, words to be ordered, scrambled or counted, which models get wrong; `as_an_ai`, a model that speaks of itself;
-- `unanswered`, where it says why it can't tell; those in `another_language`; those about a text, or a mark in it, that is
-- `missing`; those about what changes (`today`); `long` ones; and those that come again with another answer (`twice`).
-- `select reason, count(*) from alpaca.checked group by reason` counts them.
-- `kind` is what is wanted: `summary`, `rewriting`, `classification`, `list`, `answer`, `explanation`, or `anything` else that
-- takes a line; null for the others.
create table alpaca.checked as
with trimmed as (  -- an answer without what a model says before it, and the quotes around it
    select trim(instruction) as text, regexp_replace(regexp_replace(regexp_replace(replace(trim(output), '\n', chr(10)),
            '^(?:Sure|Certainly|Of course|Absolutely|Okay)[,.!] ', ''), '^Here(?:''s| is| are) [^\n]{0,150}:\s*\n', ''),
            '^\s*"([^"\n]+)"$', '\1').trim() as reference,
        if(regexp_full_match(trim(input), '(?i)|<?no ?input>?\.?|n/?a|none'), null, trim(input)) as given,
        lower(trim(instruction)) as asked
    from alpaca.rows
),
summed as (
    select *, md5(asked || '|' || coalesce(lower(given), '')) as key, length(reference) as size,
        contains(reference, chr(10)) as lines, list_transform(
            regexp_extract_all(replace(reference, ',', ''), '(?:^'
                || '|[^\d.+*/x×÷^) -] ?)\d{1,6}(?:\.\d{1,4})? ?[-+*x×/÷] ?\d{1,6}(?:\.\d{1,4})? ?= ?-?\d{1,9}(?:\.\d{1,6})?'),
            lambda sum: list_transform(
                [regexp_extract(sum, '(\d+(?:\.\d+)?) ?([-+*x×/÷]) ?(\d+(?:\.\d+)?) ?= ?(-?\d+(?:\.\d+)?)', ['a', 'by', 'b', 'c'])],
                lambda part: abs(part.c::double - case when part.by = '+' then part.a::double + part.b::double
                    when part.by = '-' then part.a::double - part.b::double
                    when part.by in ('/', '÷') then part.a::double / nullif(part.b::double, 0)
                    else part.a::double * part.b::double end) <= 0.005 * greatest(1, abs(part.c::double)))[1]) as sums
    from trimmed
)
select key, text, given, reference,
    case
        when coalesce(text, '') = '' or coalesce(reference, '') = ''
            or regexp_full_match(lower(reference), '<?no ?output>?\.?|n/?a|nan') then 'empty'
        when regexp_matches(lower(concat_ws(' ', asked, given, reference)), '```|<\w+[^<>]{0,80}>|\bdef \w+\('
            || '|\bfunction\s?\w*\(|select .{1,80} from|#include|\bimport \w+|;\n|\b(?:python|java|javascript|html|css'
            || '|sql|regex|c\+\+|json|xml|latex|algorithm|code snippet|script)\b|\b(?:source|pseudo-?|this|the|a|some'
            || '|following|given) ?code\b|\b(?:program|function) (?:that|to|which|called|in)\b') then 'code'
        when regexp_matches(lower(concat_ws(' ', given, reference)), 'https?:|www\.|\.(?:com|org|net)\b') then 'link'
        when list_contains(sums, false) then 'wrong_sum'
        when regexp_matches(lower(concat_ws(' ', asked, given)), '\b(?:calculat\w+|compute|solve|equations?|expression'
            || '|square root|hexadecimal|binary|decimal|probability|perimeter|base \d+|sum of|area of)\b|[\^=]'
            || '|\d ?[+*x×/÷-] ?\d') then 'calculation'
        when regexp_matches(asked, '^(?:please )?(?:re-?)?(?:arrange|order)\b.*\b(?:words|letters|sentence)|\b(?:un)?scrambl|\banagram'
            || '|\bcount (?:the|how)\b|\bhow many (?:words|letters|vowels|syllables|times)\b|\bnumber of (?:words|letters|vowels|syllables|times)\b') then 'puzzle'
        when regexp_matches(lower(reference), '\bas an? (?:ai|artificial|language model|machine|assistant|chatbot)\b'
            || '|\bi(?:''m| am) (?:an? ai|an artificial|a language|unable|not able|sorry)|\bi (?:cannot|can''t'
            || '|do not have|don''t have)\b|language model|\bmy training\b') then 'as_an_ai'
        when regexp_matches(lower(reference), '\b(?:text|passage|context|article|story|sentence|input|question|information)\b[^.]{0,30}'
            || '\b(?:does|do|did|is|are) (?:not (?:provide|contain|mention|specify|include|give|enough|possible|clear)|already|too short|unclear)'
            || '|\bno (?:information|context) (?:is|about|on|provided|given)|\b(?:additional|more|further) (?:information|context|details) (?:is|are|would be) (?:needed|required|necessary)'
            || '|\bnot enough (?:information|context)|\b(?:difficult|impossible|not possible) to (?:determine|say|identify)\b|\bplease (?:provide|specify)\b') then 'unanswered'
        when regexp_matches(asked, '\btranslat|\b(?:in|into|to|from|the) (?:french|spanish|german|italian|japanese'
            || '|chinese|latin|russian|portuguese|korean|arabic|hindi)\b')
            or regexp_matches(concat_ws(' ', given, reference),
                '[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Cyrillic}\p{Arabic}\p{Greek}\p{Devanagari}]|[¿¡]')
            or not in_language(reference, 'en') then 'another_language'
        when given is null and regexp_matches(asked, '\b(?:following|given|below|attached|provided)\b|\bthis (?:text'
            || '|passage|article|sentence|paragraph|poem|story|list|word|review|email|picture|image)\b|\bthe (?:text'
            || '|passage|article|sentence|paragraph|picture|image)\b')
            and not regexp_matches(text, '[:"“''‘(]|\n')
            or regexp_matches(asked, '\b(?:underlined|bold(?:ed)?|highlighted|italici[sz]ed)\b') then 'missing'
        when regexp_matches(asked, '\b(?:today|current|currently|latest|recent|now|this (?:year|month|week)|20[12]\d'
            || '|weather|random|password)\b') then 'today'
        when size > 1000 or length(given) > 1500 or length(text) > 500 then 'long'
        when min(reference) over (partition by key) <> max(reference) over (partition by key)
            or row_number() over (partition by key order by reference) > 1 then 'twice'
    end as reason,
    case
        when length(given) > 60 and size < length(given) and regexp_matches(asked, '\bsummar|\bheadline|\btitle\b'
            || '|\bslogan|\bsubject line|\bmain (?:idea|point|topic)|\bgist\b|\bin (?:one|a single|a few'
            || '|at most)\b') then 'summary'
        when given is not null and not lines and size < 400 and regexp_matches(asked, '^(?:please )?(?:re-?(?:write|phrase|word|place'
            || '|arrange|order|organi[sz]e|construct|structure|cast|vise|state|move|duce|format|verse|peat)|edit|convert'
            || '|change|correct|transform|turn|make|shorten|simplify|fix|paraphrase|combine|improve|modify|add|insert|put'
            || '|join|reorder|express|adjust|alter)\b') then 'rewriting'
        when given is not null and not lines and size <= 80 and regexp_matches(asked, '\b(?:classif|categor|identif'
            || '|determine|label|detect|decide|tell (?:me )?(?:if|whether)|predict|assign|sort|select|choose|pick|find)'
            || '|^(?:is|are|does|do|which|what)\b') then 'classification'
        when given is null and lines and size < 800
            and len(regexp_extract_all(reference, '(?m)^(?:\d+[.)]|[-•*]) ')) between 2 and 10
            and regexp_matches(asked, '^(?:please )?(?:list|name|give|suggest|provide|generate|recommend|find|identify'
                || '|come up with|create|think of|propose|make|brainstorm|outline)\b') then 'list'
        when given is null and not lines and size <= 160 and regexp_matches(asked, '^(?:what|who|whom|whose|when|where'
            || '|which|how|why|in which|in what|is|are|does|do|can|name)\b|\?$') then 'answer'
        when given is null and size between 60 and 900
            and regexp_matches(asked, '^(?:explain|describe|define|what|why|how|give (?:a|an|the) (?:definition'
                || '|description|explanation)|discuss|outline|compare|state|tell me)\b') then 'explanation'
        when not lines and size <= 400 then 'anything'
    end as kind
from summed;

-- The instructions that are fit. `given` is the text that some come with.
create view alpaca.fit as select key, text, given, reference, kind from alpaca.checked where reason is null;
