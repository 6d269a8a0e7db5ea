-- The SQL macros that every query may call beside DuckDB's own functions; docs/recipe.md lists them. `recipe_seed()` is
-- created before this file runs.

-- Choices by chance are hashes of the recipe's seed and a key, so independent of threads and of the order of rows.
-- DuckDB's `hash` is a hundredth of the cost of its md5; a release may change it, as it may change the bytes of a
-- Parquet file, so the lockfile of a run names the releases that made it. A hash of several values is the exclusive or of
-- theirs: items whose own hashes are near come out beside each other whatever the key, so `pick` hashes it once more.
create macro draw(k) as hash(recipe_seed(), k);
create macro pick(l, n, k) as
    list_select(l, list_grade_up(list_transform(l, lambda x: hash(hash(recipe_seed(), k, x))))[1:n]);
create macro shuffled(l, k) as pick(l, len(l), k);

-- Macros for the texts of shops, in the languages of their marketplaces.
create macro language(locale) as case lower(locale) when 'us' then 'en' when 'uk' then 'en' when 'jp' then 'ja' else lower(locale) end;

-- Whether a text was read in a wrong encoding once: `It¡¯s`, `light£¬soft`, `donâ€™t`, `PolÃ©`.
create macro broken(text) as regexp_matches(text, '¡[¯°±®]|£[¬º¨©¡»]|â€|[ÃÂ][\x{80}-\x{BF}]|ï¿½|\x{FFFD}');

-- Words that the shop's language does not have and its neighbours can't do without; not as the first, as in The North Face. A
-- broken text is in none.
create macro in_language(text, language) as not broken(text) and case language
    when 'en' then not regexp_matches(lower(text), '[\p{Hiragana}\p{Katakana}\p{Han}\p{Hangul}\p{Cyrillic}]| (?:para|una|und|für|avec|della)\b|(?: (?:con|del|los|las|por|sin|mujer|hombre|niños|niñas|muy|pero|que|calidad|bien|y)\b.*){2}')
    when 'es' then not regexp_matches(lower(text), '[\p{Hiragana}\p{Katakana}\p{Han}\p{Hangul}\p{Cyrillic}]| (?:the|and|with|your|for|und|für|mit|avec|della)\b')
    when 'de' then not regexp_matches(lower(text), '[\p{Hiragana}\p{Katakana}\p{Han}\p{Hangul}\p{Cyrillic}]| (?:the|and|with|your|for|para|avec|pour|della|per)\b')
    when 'fr' then not regexp_matches(lower(text), '[\p{Hiragana}\p{Katakana}\p{Han}\p{Hangul}\p{Cyrillic}]| (?:the|and|with|your|for|para|und|für|mit|della|per)\b')
    when 'it' then not regexp_matches(lower(text), '[\p{Hiragana}\p{Katakana}\p{Han}\p{Hangul}\p{Cyrillic}]| (?:the|and|with|your|for|para|und|für|mit|avec|pour)\b')
    else regexp_matches(text, '[\p{Hiragana}\p{Katakana}\p{Han}]') end;

create macro readable_lines(text, language) as list_filter(
    list_transform(string_split(text, chr(10)), lambda line: trim(regexp_replace(line, '<[^>]*>|\s', ' ', 'g'))),
    lambda line: length(line) between 10 and 400 and not regexp_matches(line, '&#?\w+;|&#\d') and in_language(line, language));

-- Data of the parcel, the item's number, how to wash it and the like, which fit any page.
create macro of_parcel(line) as regexp_matches(lower(line), '^[^\p{L}]*(?:country of origin|made in [\w .]{2,20}$|(?:item )?package (?:dimension|length|width|height|weight|quantity)|model number|part number|isbn|condition:|notes:|product type|(?:garment |easy |product |wash )?care(?: instructions?)?:|(?:hand|machine) wash[^.]{0,60}$|梱包|外装|原産国|生産国|型番|品番|商品重量|製品重量|jan ?コード|país de origen|(?:dimensiones|peso|medidas) del (?:paquete|embalaje|producto)|número de (?:modelo|pieza))');

-- What a seller promises or offers, and what is no property: it fits any page as well.
create macro of_seller(line) as regexp_matches(lower(line), 'satisf|guarant|warrant|money back|refund|contact us|customer service|after.?sales?\b|logistics|(?:fast|free|quick) (?:shipping|delivery)|(?:check out|search|visit|browse) our|\bour (?:other|store|shop)\b|\benv[ií]os\b|転売|公式|feel free|risk free|no risk|gift|description|actual colou?r|warm prompt|garant[ií]a|descripci[oó]n|atenci[oó]n al cliente|regalo perfecto|idea de regalo|\brestock|same.day shipping|\d ?% off\b|\bcoupons?\b|customers? is king|\bentrega (?:a|en) españa|\bcompradores\b|\bprecio mínimo\b|\b(?:su|tu) pedido\b|保証|返品|返金|当店|ご注文|正規販売品|ポイントは|お問い合わせ|ご連絡|イメージです|商品の説明');

-- The first six of the lines that say more than that and than what a seller promises, each once.
create macro bullet_points(text, language) as list_transform([readable_lines(text, language)], lambda lines: list_filter(
    lines, lambda line, place: not (of_parcel(line) or of_seller(line)) and list_position(lines, line) = place))[1][:6];

-- Without the marks that sellers put before a line (`✅`, `★`) or around its heading, which ends at `: ` then: `【LIGHT】...`.
create macro unmarked(line) as regexp_replace(regexp_replace(line, '^[\p{So}\p{Sm}\p{M}•‣*\s-]+', ''),
    '^[^\p{L}\p{N}]?([\p{L}\p{N}][\p{L}\p{M}\p{N} &’''・/%+-]{1,50}?)(?: ?[】\]』》] ?[:：-]? ?| [-–—] | ?[:：] ?)', '\1: ');

-- As in `Easy to clean: ...` or `【Easy to clean】...`: a heading of two to five words that tells of the product, and its text.
create macro headed_lines(text) as list_filter(
    list_transform(
        list_filter(
            list_transform(string_split(text, chr(10)), lambda line: regexp_replace(line, ': | - |】 ?[:：]? ?', ': ')),
            lambda line: contains(line, ': ')),
        lambda line: {
            'heading': lower(regexp_replace(line[:instr(line, ': ')], '^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$', '', 'g')),
            'body': regexp_replace(trim(line[instr(line, ': ') + 2:]), '^[\s:：–—-]+', '')}),
    lambda part: case when length(part.heading) between 6 and 50 and length(part.body) between 30 and 400  -- `and` alone asks all, in a lambda
        and regexp_full_match(part.heading, '(?:[\p{L}&''-]+ ){1,4}[\p{L}&''-]+')
        and not regexp_matches(part.heading, '--') and not regexp_matches(part.body, '<|&#?\w+;|(?i:\bcontact us\b|\bnotes?: )')
        and not regexp_matches(part.heading, '^(please|why|about|what|who|how|for|made for|good to)\b|\bquality|\bdetails$|\bperfect|\bbest\b|confidence|satisf|\btips\b|^shop\b|^well made$|^top rated$|\bvalue$|\bstandards$')
        and not regexp_matches(part.heading, '\b(pls|notes?|notice|att?ention|prompt|reminder|service|customers?|shipping|delivery|logistics|warranty|guaranteed?|refund|returns?|no risk|risk.?free|after.?sales?|advantage|gifts?)\b')
        and not regexp_matches(part.heading, '^(?:superior|careful|well|functional|universal|fashionable|unique|great|stylish|thoughtful|smart|new) (?:design|feel|look)$|^save your money$|^included? with') then true end);

create macro long_words(text) as regexp_extract_all(lower(text), '\p{L}{4,}');
create macro word_stems(text) as list_transform(long_words(text), lambda word: word[:4]);

-- Those of some words in small letters that stand in a text, be it within longer ones: of the text in small letters, made once.
create macro found_in(words, text) as
    list_transform([lower(text)], lambda small: list_filter(words, lambda single: contains(small, single)))[1];

-- What a text is about, to ask how much of it another one says: its words without stop words and the `s` of plurals; of
-- Japanese, which has no blanks, every two characters.
create macro words_of(text, language) as if(language = 'ja',
    list_transform(range(1, greatest(length(regexp_replace(text, '\s', '', 'g')), 2)),
        lambda place: regexp_replace(lower(text), '\s', '', 'g')[place:place + 1]),
    list_transform([stop_words_in(text, language)], lambda stops: list_filter(
        regexp_extract_all(strip_accents(lower(text)), '\b([a-z0-9]+?)(?:''?s)?\b', 1),
        lambda word: length(word) > 1 and not list_contains(stops, word)))[1]);

-- A text in which a word of `words_of` is looked for, and how: in Japanese anywhere, else behind a blank.
create macro searched(text, language) as case language when 'ja' then regexp_replace(lower(text), '\s', '', 'g')
    else ' ' || replace(replace(replace(replace(replace(replace(if(language = 'en', lower(text), strip_accents(lower(text))),
        '(', ' '), '[', ' '), '/', ' '), '&', ' '), '"', ' '), '-', ' ') end;  -- in half of a regex's time
create macro begun(word, language) as if(language = 'ja', word, ' ' || word);

-- Those of some words (`words_of`) that neither stand in a text nor begin a word of it.
create macro lacking(words, text, language) as list_transform([searched(text, language)],
    lambda own: list_filter(words, lambda word: not contains(own, begun(word, language))))[1];

-- The share of such words that do; null of no words.
create macro overlap(words, text, language) as
    list_transform([words], lambda those: (len(those) - len(lacking(those, text, language))) / nullif(len(those), 0))[1];

-- Numbers with a unit, such as `6 inch`, and words for sizes; `for small dogs` and `para perros grandes` are none of a product.
create macro sizes_told(text, language) as list_transform(
    [regexp_replace(lower(text), '\bfor (?:small|medium|large)\b|\bpara \pL+ (?:peque[nñ]|median|grande)\pL*', ' ', 'g')],
    lambda own: list_distinct(sizes_in(own, language) || list_transform(
        regexp_extract_all(own, '\b\d+(?:[.,]\d+)?[ -]?(?:inch|ft|oz|ounce|lb|gallon|cm|mm|ml|kg|gr\b|gramo|gb|tb|pack|piece|count|litro|pulgada|pieza|unidad|インチ|枚|個|本|足|双|冊|脚|台|人|畳)'),
        lambda size: replace(replace(size, ' ', ''), '-', ''))))[1];

-- What a text tells of a product's attributes: the words of one kind, all kinds with words, and a kind's name in a language.
create macro attribute_words(kind, text, language) as case kind when 'audience' then audiences_in(text, language)
    when 'color' then colors_in(text, language) when 'material' then materials_in(text, language)
    when 'size' then sizes_told(text, language) end;
create macro attributes_in(text, language) as list_filter([
    {'kind': 'audience', 'words': audiences_in(text, language)}, {'kind': 'color', 'words': colors_in(text, language)},
    {'kind': 'material', 'words': materials_in(text, language)}, {'kind': 'size', 'words': sizes_told(text, language)}],
    lambda found: len(found.words) > 0);
create macro attribute_name(kind, language) as coalesce(map {
    'es brand': 'marca', 'es size': 'tamaño o talla', 'es audience': 'destinatario', 'ja brand': 'ブランド', 'ja color': '色',
    'ja size': 'サイズ', 'ja material': '素材', 'ja audience': '対象者'}[language || ' ' || kind], kind);

create macro known_brand(brand) as nullif(regexp_replace(trim(brand),
    '(?i)^(generic|generico|genérico|unbranded|unknown|none|no ?name|n[/\\]?[ac]|other|ノーブランド.*)$', ''), '');

-- The first word of a brand, as shoppers type it.
create macro maker(brand) as nullif(regexp_extract(lower(brand), '^[^ (（]+'), '');

-- What a language is called in a language.
create macro language_name(code, language) as map {
    'en en': 'English', 'en de': 'German', 'en es': 'Spanish', 'en fr': 'French', 'en it': 'Italian', 'en ja': 'Japanese',
    'de en': 'Englisch', 'de de': 'Deutsch', 'de es': 'Spanisch', 'de fr': 'Französisch', 'de it': 'Italienisch', 'de ja': 'Japanisch',
    'es en': 'inglés', 'es de': 'alemán', 'es es': 'español', 'es fr': 'francés', 'es it': 'italiano', 'es ja': 'japonés',
    'fr en': 'anglais', 'fr de': 'allemand', 'fr es': 'espagnol', 'fr fr': 'français', 'fr it': 'italien', 'fr ja': 'japonais',
    'it en': 'inglese', 'it de': 'tedesco', 'it es': 'spagnolo', 'it fr': 'francese', 'it it': 'italiano', 'it ja': 'giapponese',
    'ja en': '英語', 'ja de': 'ドイツ語', 'ja es': 'スペイン語', 'ja fr': 'フランス語', 'ja it': 'イタリア語', 'ja ja': '日本語'
}[language || ' ' || code];

-- A value of a catalogue's column that can be shown: without invisible signs; null where it is blank, longer than so many
-- characters, HTML, or says that there is none.
create macro plain(value, longest) as list_transform([trim(regexp_replace(value, '[\x{200b}-\x{200f}\x{feff}\s]+', ' ', 'g'))],
    lambda own: if(length(own) <= longest
        and not regexp_matches(lower(own), '^(?:n[/\\]?a|none|null|unknown|other|keine?|ninguno|aucune?|nessuno|なし|[^\p{L}\p{N}]*)$|&#?\w+;|<'), own, null))[1];

-- The two characters at either end must not be of one word, nor joined by an apostrophe, hyphen or ampersand.
create macro stands_alone(text, place, size) as not regexp_matches(
    text[greatest(place - 1, 1):place] || ' | ' || text[place + size - 1:place + size],
    '[\p{Latin}\p{N}]{2}|[\p{Katakana}ー]{2}|\p{Han}{2}|[\p{L}\p{N}][''’&-]|[''’&-][\p{L}\p{N}]');

create macro colors(text) as regexp_extract_all(lower(text), '\b(?:black|white|red|blue|green|yellow|orange|purple|violet|pink|brown|gr[ae]y|silver|gold|golden|beige|ivory|navy|turquoise|teal|khaki|burgundy|tan|negr[oa]|blanc[oa]|roj[oa]|azul|azules|verde|amarill[oa]|naranja|morad[oa]|rosa|marr[oó]n|marrones|gris|grises|plata|platead[oa]|dorad[oa]|oro)s?\b|ブラック|ホワイト|レッド|ブルー|グリーン|イエロー|オレンジ|パープル|ピンク|ブラウン|グレー|シルバー|ゴールド|ベージュ|ネイビー|[黒白赤青緑黄紫茶灰銀金]');

create macro shaded(text, place, size) as
    regexp_matches(lower(text[:place - 1]), '\b(?:dark|light|deep|bright|pale|hot|neon|royal|sky|baby|navy|sage|olive|lime|mint|army|forest|hunter|rose|dusty|off|matte|wine|burnt|ocean)[ -]$')
    or regexp_matches(lower(text[place + size:]), '^ (?:oscur|clar|marino|celeste|cielo|pastel|mate|oliva|menta|militar)');

-- A value as the text writes it at its first place there, in whatever case; null where it is part of a longer word.
create macro cited(text, value) as case
    when instr(lower(text), lower(value)) > 0
        and lower(text[instr(lower(text), lower(value)):instr(lower(text), lower(value)) + length(value) - 1]) = lower(value)
        and stands_alone(text, instr(lower(text), lower(value)), length(value))
    then text[instr(lower(text), lower(value)):instr(lower(text), lower(value)) + length(value) - 1] end;

-- The same of a color's name: a color with up to two words before it (after it, in Spanish) such as `navy blue`, and no
-- part of another one. Null where the text names another color, too, or the value names two, but for those of two names.
create macro cited_color(text, value, language) as case
    when regexp_full_match(value, '[\p{L}ー]{2,}(?: \p{L}{3,}){0,2}') and not regexp_matches(lower(value), ' and | y |・')
        and len(colors(value)) > 0 and list_has_all(colors(value), colors(text))
        and (len(list_distinct(colors(text))) = 1 or regexp_matches(lower(value), 'navy|ivory|gold|oro|dorad|ネイビー'))
        and if(language = 'es', starts_with(lower(value), colors(value)[1]), ends_with(lower(rtrim(value, '色')), colors(value)[-1]))
        and not shaded(text, instr(lower(text), lower(value)), length(value))
    then cited(text, value) end;

-- The words of a query that tell what is wanted: neither a color, nor whom it is for, nor a stop word. `dog` and the like
-- stay, as a dog bed is no bed.
create macro type_words(text, language) as list_filter(string_split(lower(text), ' '), lambda word: length(word) > 1
    and len(colors_in(word, language)) = 0 and len(stop_words_in(word, language)) = 0 and not list_has_any(audiences_in(word, language),
        ['men', 'women', 'boy', 'girl', 'kid', 'hombre', 'mujer', 'niño', 'niña', 'メンズ', 'レディース', 'キッズ']));

-- A description without HTML and headings, and the sentences of a text.
create macro prose(html) as trim(regexp_replace(regexp_replace(html,
    '<h\d>[^<]*</h\d>|<(?:b|strong)>[^<]*</(?:b|strong)>\s*(?:<br ?/?>|</p>)|<[^>]*>', ' ', 'g'), '\s+', ' ', 'g'));
create macro sentences(text) as
    list_transform(regexp_extract_all(text, '(?:[^.!?]|[.!?][^ .!?])+[.!?]+'), lambda part: trim(part));

-- Whether a sentence tells of the shop and its service, not of the product; English.
create macro of_shop(sentence) as regexp_matches(sentence, '\b[Ww]e\b|\bus\b|(?i:\b(?:customers?|founded|years of experience|refunds?|guarantee[ds]?|warranty|satisf\w+|please|welcome to|shipping|gifts?|commit+ed to|not(?:e|ice):|our (?:company|team|mission|focus|artists?|store|goal|line)\b))');

-- Words of three letters or more, without an English plural's `s`.
create macro singulars(text) as regexp_extract_all(lower(text), '\b(\p{L}{3,}?)s?\b', 1);

-- Whether a text stands in a title or in bullet points.
create macro printed(text, title, bullets) as contains(lower(concat_ws(' ', title, array_to_string(bullets, ' '))), lower(text));

-- A customer's review without HTML, links to videos and products, and the commonest entities.
create macro review_text(text) as trim(regexp_replace(replace(replace(replace(replace(replace(replace(
    regexp_replace(text, '<[^>]{0,200}>|\[\[\w+:[^\]]{0,200}\]\]', ' ', 'g'),
    '&#34;', '"'), '&quot;', '"'), '&#39;', ''''), '&lt;', '<'), '&gt;', '>'), '&amp;', '&'), '\s+', ' ', 'g'));

-- The clauses of a text: its sentences, and what is set apart in them by a semicolon, a dash or `but`; without full stops and a leading `and`.
create macro clauses(text) as list_filter(list_transform(
    regexp_split_to_array(text, '[.!?…;]+(?: |$)|,? (?:but|however|though|although) | [-–—]+ '),
    lambda part: regexp_replace(trim(regexp_replace(part, '^[^\p{L}\p{N}"]+|[\s,:.]+$', '', 'g')), '(?i)^(?:and|so|plus|also),? ', '')), lambda part: length(part) > 3);

-- The aspects that a clause names, without words that stand for something else: `warm weather`, `pretty good`, `one other style`.
create macro aspects_meant(clause) as aspects_in(regexp_replace(clause,
    '(?i)\bwarm(?:er)? (?:\w+ )?(?:weather|climates?|days?|nights?|months|water|summers?|seasons?|regions?)\b'
    || '|\b(?:other|another|different|same|both|each|every|many|more|several|two|three|four|next) (?:colou?r|style|design|pattern|shade|size)s?\b'
    || '|\bpretty (?:nice|good|great|much|well|comf\w*|sturdy|easy|decent|cool|happy|soft|thin|thick|cheap|bad|poor\w*)\b', ' ', 'g'), 'en');

-- The aspects that a customer's text names or may mean, as one text: `small` may tell of the size. And aspects with those that
-- people tell of in the same words, as softness is comfort or material.
create macro aspects_hinted(text) as array_to_string(aspects_in(text, 'en') || aspect_hints_in(text, 'en'), ', ');
create macro near_aspects(aspects) as aspects || flatten([kin for kin in [
    ['comfort', 'material', 'thickness', 'stretch'], ['warmth', 'thickness', 'material'], ['appearance', 'color'],
    ['delivery', 'packaging', 'customer service'], ['ease of use', 'instructions'], ['size', 'storage space', 'stretch'],
    ['pockets', 'storage space', 'zipper'], ['quality', 'material'], ['screen', 'picture', 'light'], ['story', 'writing']]
    if list_has_any(kin, aspects)]);

-- Whether a text may tell a measure: a number before what some unit begins with. It is asked of a million titles.
create macro may_measure(text) as regexp_matches(text, '\d[ -]?(?:["”″]|''''|(?i:[ckm]?[mgl]\b|fl|oz|ou|lb|po|pu|pi|gr|gal|in|ft|fe|fo|ya|yd|qu|qt|co|ct|pc|pz|un|ud|st|te|lit|lt|met|mèt|cen|zen|mil|kil|kg|chil|zo|ml|cl)|[\p{Katakana}個枚本粒錠])');

-- The measures that a text tells, in its order: a `number` before a `word` that may be a unit (`lists.units` knows), and what
-- stands around them. `chain` is what ends in an `x`, as in `12 x 330 ml` and `4 x 6 ft`, `ahead` and `between` are what else its
-- words hold, `before` is what stands in the number's own word where there is none, `previous` the word before, `times` the number in
-- `16 oz x 2`, and `behind` what else tells that it is no amount: a second number, `per`, `of protein`. `7"` is inches, `3 to 5 oz`
-- is read as `3~5 oz` and `330ml×24本` as `24 x 330ml`; generations of networks (`5G`) are no grams, sizes (`12M`) and the brand `3M`
-- no meters.
create macro measures_in(text, language) as list_transform(
    regexp_extract_all(
        lower(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(if(language = 'ja', text, strip_accents(text)),
            '\b\d{1,2}(?:\.\d)?[ -]?M\b|\b\d(?:\.\d)?G\b', ' ', 'g'), '(\d) ?(?:"|”|″|'''') ?', '\1 inch ', 'g'),
            '(?i)\bfl(?:uid)?\.? ?(?:oz|ounces?)\b', 'floz', 'g'), '(?i)(\d)(?: ?- ?| (?:to|or|and|bis|und|y|et|a) )(\d)', '\1~\2', 'g'),
            '(?i)(\d+(?:[.,]\d+)? ?(?:ml|l|kg|g)) ?[x×] ?(\d{1,3}) ?(?:個|本|袋|箱|缶|枚|パック)', '\2 x \1 ', 'g')),
        '(?:\pL+ )?(?:\S*?(?:\d+(?:[.,]\d+)? ?(?:\pL{1,11}\.? ?)?[x×*] ?)+\S*?|\S*?)\d+(?:[.,]\d+)?[ -]?(?:[glm]\b|\p{Latin}{2,}|[\p{Han}\p{Katakana}ー]+)(?: ?[x×*] ?\d+| ?/| per\b| of \pL+|[~-]\d+)?'),
    lambda found: regexp_extract(found,
        '^(?:(\pL+) )?(?:(\S*?)((?:\d+(?:[.,]\d+)? ?(?:\pL{1,11}\.? ?)?[x×*] ?)+)(\S*?)|(\S*?))(\d+(?:[.,]\d+)?)[ -]?([glm]\b|\p{Latin}{2,}|[\p{Han}\p{Katakana}ー]+)(?: ?[x×*] ?(\d+)|( ?/| per| of \pL+|[~-]\d+))?$',
        ['previous', 'ahead', 'chain', 'between', 'before', 'number', 'word', 'times', 'behind']));

-- How many of a product come together, as `Pack of 6`, `(2-Pack)` and `×24本` tell: each number once.
create macro packs_in(text) as list_distinct(list_transform(
    regexp_extract_all(lower(text), '(?:^|[^\w.,/-])(?:pack|case|packung|lot|lote|paquete|confezione|pacco)s? (?:of|de|da|mit|di) \d{1,3}\b|(?:^|[^\w.,/-])\d{1,3}(?:er)?[ -]?(?:packs?|pk|packungen|paquetes)\b|[x×] ?\d{1,3} ?(?:個|本|袋|箱|缶|枚|パック)|(?:^|[^\w.,/-])\d{1,3} ?(?:個|本|袋|箱|缶|枚|点|足)?(?:セット|パック)'),
    lambda found: regexp_extract(found, '\d+')::integer));

-- A number of bottles, cans and the like, from two on: whether the amount is of one or of all is not told. Null where there is none.
create macro parts_told(text) as try_cast(regexp_extract(lower(text),
    '(?:^|[^\w.,/-])([2-9]|[1-9]\d{1,2})(?:[ -]|er )?(?:bottles?|cans?|bags?|boxes|bars?|tubes?|jars?|pouch(?:es)?|packets?|rolls?|cups?|servings?|pods?|sachets?|cartons?|tubs?|sticks?|refills?|tins?|loaf|loaves|botellas?|latas?|bolsas?|cajas?|sobres?|frascos?|tubos?|rollos?|barras?|flaschen?|dosen|beutel|rollen|tuben|bouteilles?|boîtes?|sachets?|tubes?|rouleaux|bottiglie?|lattine?|buste|scatole|rotoli|個|本|袋|箱|缶|包|組|枚|点|足|双)(?:[^a-zà-ÿ]|$)', 1) as integer);

-- A number as shops of that language write it; null of one that could be read in two ways, such as `1.500` in Spanish.
create macro number_told(number, language) as case
    when regexp_full_match(number, '[1-9]\d{0,4}|0') then number::decimal(12, 3)
    when language in ('en', 'ja') and regexp_full_match(number, '[1-9]\d{0,2},\d{3}') then replace(number, ',', '')::decimal(12, 3)
    when language in ('en', 'ja') and regexp_full_match(number, '\d{1,4}\.\d{1,3}') then number::decimal(12, 3)
    when regexp_full_match(number, '\d{1,4}[.,]\d{1,2}') and language not in ('en', 'ja') then replace(number, ',', '.')::decimal(12, 3) end;

-- A number as text, without zeros at its end, and the name of a unit behind it.
create macro number_text(number, language) as replace(rtrim(rtrim(number::decimal(18, 4)::varchar, '0'), '.'), '.',
    if(language in ('en', 'ja'), '.', ','));
create macro unit_text(unit, language) as coalesce(map {'en oz': 'ounces', 'en floz': 'fl oz', 'en lb': 'lb', 'en l': 'L', 'en in': 'inches',
    'en qt': 'quarts', 'en gal': 'gallons', 'en yd': 'yards', 'en piece': 'pieces', 'es in': 'pulgadas', 'es piece': 'unidades', 'es l': 'L',
    'ja in': 'インチ', 'ja piece': '個', 'ja l': 'L', 'de in': 'Zoll', 'de piece': 'Stück', 'de l': 'L', 'fr in': 'pouces',
    'fr piece': 'pièces', 'fr l': 'L', 'it in': 'pollici', 'it piece': 'pezzi', 'it l': 'L'}[language || ' ' || unit], unit);
create macro amount_text(number, unit, language) as number_text(number, language) || ' '
    || if(number = 1 and language = 'en', regexp_replace(unit_text(unit, language), '(inch)es$|s$', '\1'), unit_text(unit, language));

-- Three numbers of a list, unlike the right one and above zero: what slips give.
create macro slips(numbers, correct, k) as
    pick(list_filter(list_distinct(numbers), lambda number: number > 0 and number <> correct), 3, k);

-- Three numbers that are wrong where `correct` is right: up to two of others, and the rest of it times some of the factors, rounded.
create macro wrong(correct, others, factors, places, k) as list_transform(
    [others || list_transform(pick(factors, 3, k), lambda factor: round(correct * factor, places)::decimal(18, 4))],
    lambda found: list_filter(found, lambda number, place: number > 0 and number <> correct and list_position(found, number) = place)[:3])[1];

-- A unit's size in grams, milliliters or millimeters, exact by definition (fluid ounces, quarts and gallons are those of the
-- United States), and what it measures. Ounces are both of weight and of liquids in titles, so they are of neither.
create macro unit_size(unit) as map {'g': 1, 'kg': 1000, 'lb': 453.59237, 'oz': 28.349523125, 'ml': 1, 'cl': 10, 'l': 1000, 'floz': 29.5735295625,
    'qt': 946.352946, 'gal': 3785.411784, 'mm': 1, 'cm': 10, 'm': 1000, 'in': 25.4, 'ft': 304.8, 'yd': 914.4, 'piece': 1}[unit]::decimal(20, 10);
create macro unit_kind(unit) as map {'g': 'weight', 'kg': 'weight', 'lb': 'weight', 'ml': 'volume', 'cl': 'volume', 'l': 'volume', 'floz': 'volume',
    'qt': 'volume', 'gal': 'volume', 'mm': 'length', 'cm': 'length', 'm': 'length', 'in': 'length', 'ft': 'length', 'yd': 'length',
    'oz': 'ounces', 'piece': 'pieces'}[unit];

-- Whether what stands before a number in its own word belongs to no number, and whether the word before it makes the amount another
-- thing's: `up to 5 kg`, `for 2 lb`, `size 5 M`.
create macro begins_number(before, language) as before = '' or regexp_full_match(before, '(?:.*[^\d])?[(\[{|,:;&–—】（「［・、！]')
    or language = 'ja' and regexp_full_match(before, '.*[\p{Han}\p{Katakana}\p{Hiragana}ー]') and not regexp_matches(before, '(?:最大|約|[~〜～-].{0,3})$');
create macro of_other_amount(previous, language) as regexp_full_match(previous,
    'to|up|upto|for|fits?|holds?|from|under|over|per|than|x|level|size|model|no|type|grade|and|or|by|about|plus|hasta|para|por|y|o|bis|fur|von|und|jusqu|pour|fino|et|ou|mit|desde|da|di')
    or previous = 'de' and language = 'fr';

-- Whether a title is about what is eaten dry, about paper (whose weight is that of a ream) or scales, and about sets.
create macro of_food(title) as regexp_matches(lower(title), '\b(?:noodles?|coffee|tea|candy|chocolates?|snacks?|rice|pasta|nuts|almonds|cashews|powder|seeds|chips|cookies|crackers|beans|cheese|sugar|salt|flour|cereal|granola|pepper|spices?|seasoning|jerky|popcorn|raisins|oats|oatmeal|(?:dog|cat) food)\b')
    and not regexp_matches(lower(title), 'liquid|bottle|mugs?\b|cups?\b|drink|water|scoop|container|canister|maker|tumbler|jars?\b|bowl|feeder|grinder|dispenser|creamer|\bbrews?\b|lotion|scrub|brush|coated|steel|insulated|hair|skin|\bwax\b|\bfl\b');
create macro of_other_weight(title) as regexp_matches(lower(title), '\bscales?\b|báscula|スケール|grinder|molinillo|ミル\b|weighted|envelope|\bpaper\b|card ?stock|\bpapel\b|papier|\bcarta\b|用紙|封筒');
create macro of_sets(title) as regexp_matches(lower(title), '\+ ?\d|\bset of \d|\d[ -]?(?:piece )?sets?\b|\bjuego de \d|\d ?er[ -]set\b|includ|incluye|\d ?/ \d|\d \d+[ -]?packs?\b');

-- Whether a title may tell the amount of a part or of what a product is for: of an engine, a memory, of what it comes `with`.
create macro of_part(title) as regexp_matches(lower(title), '\b(?:engines?|turbo|radiators?|carburetors?|pistons?|gaskets?|camshaft|turbocharger|(?:fuel|oil|air) (?:filter|pump|injector)s?|exhaust|bladder|reservoir|flywheel|android|tablet|e-?reader|smartphone|memory|ram|ssd)\b'
    || '|\b(?:fits|for) (?:[a-z]+ ){0,3}(?:(?:19|20)\d\d|\d\d \d\d)\b'
    || '|(?:\b(?:with|con|includ\w+|plus)|w/) ?(?:[a-z]+ )?\d[\d.,]*[ -]?(?:l|lit\w*|ml|gal\w*|qts?|quarts?|oz|ounces?|lbs?|pounds?|kg|gr?|grams?|fl|p[ck]s?|pieces?|piezas|counts?|ct)\b');

-- Whether the words of a query and a title bear a judgement out (`E` exact, `S` substitute, `C` complement, `I` irrelevant; one in
-- five reads wrong): an exact product has three in four of the query's words, in English the last one, which mostly names what is
-- wanted; a substitute has some and not all; what an English complement is called ends in another word. `overlap` is the
-- share of the query's words that the title has.
create macro borne_out(label, query, title, overlap, language) as case
    when label = 'E' then overlap >= if(language = 'ja', 0.65, 0.75) and (language <> 'en' or contains(lower(title), singulars(query)[-1]))
    when label = 'S' then overlap > 0 and overlap < 1
    when label = 'C' then overlap > 0 and (language <> 'en'
        or singulars(regexp_split_to_array(lower(title), ',| ?[(\[|;:–—]| - | for | with ')[1])[-1] <> singulars(query)[-1])
    else overlap < 0.5 and not list_has_any(singulars(string_split(query, ' ')[-1]), singulars(title)) end;
