-- Questions that stand alone, with four options in any order. `area` puts subjects together: `business`, `science`,
-- `medicine`, `society`, `humanities`, `everyday`, `arithmetic`, and `reading` for a text with a question. `open` tells
-- those that can be asked without their options, as they ask for one name or number and answer shortly, `reference` is the right one. Left out are questions about pictures, long
-- ones, those whose signs were read in a wrong encoding, those that stand again with another answer, those that point at a book or a page that is not shown, the subject of
-- human sexuality and what is of sex elsewhere, and those whose options name others by letter (`both A and B`); `all of the
-- above` is written `all of these`, since any order must do.
create table mmlu.asked as
with worded as (
    select subject, trim(regexp_replace(question, '\s+', ' ', 'g')) as text, answer,
        list_transform(options, lambda option: regexp_replace(
            trim(regexp_replace(option, '\s+', ' ', 'g')), '(?i)^(all|none) of the above\b', '\1 of these')) as options
    from mmlu.questions where length(question) between 10 and 2500 and answer between 0 and 3
),
keyed as (
    select *, 'mmlu/' || left(md5(text || '|' || list_sort(options)::varchar), 16) as key, options[answer + 1] as reference
    from worded
),
once as (
    select * from keyed
    qualify min(reference) over (partition by key) = max(reference) over (partition by key)
        and row_number() over (partition by key order by subject, options::varchar) = 1
)
select key, text, options, answer,
    case
        when subject in ('business_ethics', 'management', 'marketing', 'public_relations', 'professional_accounting',
            'econometrics', 'high_school_macroeconomics', 'high_school_microeconomics') then 'business'
        when subject in ('anatomy', 'clinical_knowledge', 'college_medicine', 'medical_genetics', 'nutrition',
            'professional_medicine', 'virology') then 'medicine'
        when subject in ('high_school_geography', 'high_school_government_and_politics', 'high_school_psychology',
            'professional_psychology', 'security_studies', 'sociology', 'us_foreign_policy') then 'society'
        when subject in ('formal_logic', 'high_school_european_history', 'high_school_us_history', 'jurisprudence',
            'high_school_world_history', 'international_law', 'logical_fallacies', 'moral_disputes', 'moral_scenarios',
            'philosophy', 'prehistory', 'professional_law', 'world_religions', 'aux_law_90s') then 'humanities'
        when subject in ('miscellaneous', 'global_facts', 'human_aging', 'obqa') then 'everyday'
        when subject in ('abstract_algebra', 'college_mathematics', 'elementary_mathematics', 'high_school_mathematics',
            'high_school_statistics') then 'arithmetic'
        when subject in ('race', 'mc_test') or coalesce(subject, '') = '' and length(text) > 500 then 'reading'
        else 'science' end as area,
    [key] || if(length(text) > 400, ['mmlu/text/' || left(md5(left(text, 200)), 16)], []) as groups, reference,
    regexp_full_match(text, '(?:What|Who|Where|When|Why|How|In which|In what|On which|At which|Which) .{8,200}\?')
        and not regexp_matches(lower(text), '\b(?:following|these|those|most|best|least|statements?|options?|true|correct'
            || '|except|not|likely|could|may|might|would|can|should|you|your|example|listed|below|above)\b'
            || '|^(?:why|how (?:do|does|did|is|are|was|were|have|has)) |^which (?:factors?|methods?|approach|ways?|things?'
            || '|items?|groups?|pairs?|kinds?|types?|sentences?|words?|person|people|activity|action|materials?|nutrients?)\b')
        and length(reference) between 3 and 60 and len(string_split(reference, ' ')) <= 5 and regexp_matches(reference, '\pL{3}')
        and not regexp_matches(lower(reference), '\b(?:these|above|both|neither|only|options?|correct)\b') as open
from once
where len(options) = 4 and list_unique(list_transform(options, lambda option: lower(option))) = 4
    and not regexp_matches(lower(text), '\b(?:figure|diagram|graph|picture|photograph|map|table) (?:below|above|shows?'
        || '|at)\b|\b(?:shown|given) (?:below|above)\b|\bfig(?:ure|\.) ?\d|\bfollowing situation:?$')
    and coalesce(subject, '') <> 'human_sexuality'
    and not regexp_matches(lower(text || options::varchar), '\b(?:sexual(?:ly)? (?:intercourse|activit\w+|acts?|arous\w+|assault\w*|abuse\w*)'
        || '|rap(?:e|es|ed|ing|ists?)|incest\w*|molest\w*|p(?:a?e)dophil\w*|porn\w*|prostitut\w*|erotic\w*|erogenous|orgasm\w*|masturbat\w*'
        || '|ejaculat\w*|erect(?:ile|ions?)|genitals?|genitalia|penis\w*|vagina\w*|clitor\w*|condoms?)\b')
    and not (length(text) < 400 and regexp_matches(lower(text || options::varchar), '\b(?:chapter \d|p(?:age|\.) ?\d)'
        || '|\b(?:this|our|your) (?:text)?book\b|\b(?:this|the) text(?:book|[''’]s)?(?:[ ,.?]|$)|\b(?:passage|excerpt|quotation|document|text|paragraph|table|map|cartoon)s?,? (?:above|below)\b'
        || '|\baccording to (?:the|this) (?:text|author|passage|(?:text)?book|chapter)\b|\bin the (?:passage|excerpt)\b'))
    and not regexp_matches(text || options::varchar, 'â€|‚Ä|Ã[©¨¼¶¤]|\x{fffd}')
    and not regexp_matches(lower(options::varchar), '\babove\b|\bbelow\b|[ (\[][a-d]\)?,? (?:and|or|nor|&'
        || '|but not) \(?[a-d]\b|\b(?:first|second|third|last) (?:and|option|choice|answer)\b');

-- What models are compared on: nothing that is close to it should be trained on.
create view mmlu.evaluation as select question as text from mmlu.held_out;
