"""How people show that they are angry with us, by language. Every pattern is bounded, so that a search is linear.

Words alone say little: "stupid" may be the speaker, "damn" may be joy. A sentence counts where the word is aimed at us or at what
we do, and not where it thanks, asks about the word, or is aimed at the speaker.
"""

import re
from functools import cache

from bot.handoff.saying import Sentence, fold, own_words, phrase, piece
from bot.text import pattern


def is_angry_sentence(sentence: Sentence) -> bool:
    """Whether a folded sentence is angry, in any of the languages."""
    text = sentence.text
    angry, calm = _patterns()
    if not text.isascii():
        further_angry, further_calm = _patterns_of_other_scripts()
        angry, calm = angry + further_angry, calm + further_calm
    return any(one.search(text) for one in angry) and not any(one.search(text) for one in calm)


_SHOUTED = pattern(r"[^\W\d_]{2,}")
_FEWEST_SHOUTED = 4
_TO_US = frozenset(
    fold(
        "i i'm my me we you your why this nobody mine anyone now ich mich mir mein ihr euch warum niemand endlich je vous moi mon "
        "pourquoi personne yo me mi usted ustedes por nadie eu você vocês meu ninguém io voi mi mio perché nessuno ik jullie mij waarom "
        "niemand ja mnie wy dlaczego nikt ben siz bana neden kimse я мне мы вы почему никто мой мені ви чому ніхто мій"
    ).split()
)
_MACHINE = frozenset(
    fold(
        "error errors fatal warning exception failed failure denied refused http api sql select from where update plan fehler erreur erreurs "
        "erro errore fout błąd hata ошибка помилка debug info trace null"
    ).split()
)
_THANKS = frozenset(
    fold(
        "thanks thank danke merci gracias obrigado obrigada grazie bedankt dzięki teşekkürler спасибо дякую please help"
    ).split()
)


def is_shouted(text: str) -> bool:
    """Whether a line of the user's own words is in capitals, has several words and speaks to us, unlike a message of a machine."""
    return any(map(_is_shouted_line, own_words(text).splitlines()))


def _is_shouted_line(line: str) -> bool:
    found = _SHOUTED.findall(line)
    loud = [word for word in found if word.isupper()]
    if len(loud) < _FEWEST_SHOUTED or len(loud) < 0.8 * len(found):
        return False
    every = {fold(word) for word in re.findall(r"\w+", line)}
    to_us = len(every & _TO_US)
    return to_us >= 2 and not every & (_MACHINE | _THANKS)


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], ...], tuple[re.Pattern[str], ...]]:
    """What is angry and what takes it back. Made on first use: to compile them takes a moment."""
    return (_western(), _romance(), _slavic(), _further()), (_calm(),)


@cache
def _patterns_of_other_scripts() -> tuple[tuple[re.Pattern[str], ...], tuple[re.Pattern[str], ...]]:
    """Of scripts whose words are never ASCII."""
    return (_east_asian(),), (_calm_pieces(),)


def _western() -> re.Pattern[str]:
    very = r"(?:(?:so|such|an?|just|absolutely|totally|completely|really|simply|fucking|bloody|damn|utterly|beyond|getting|all|the|most|very|too|really) ){0,3}"
    bad = r"(?:ridiculous|unacceptable|outrageous|disgraceful|pathetic|shameful|appalling|insulting|disgusting|infuriating|inexcusable|intolerable|bullshit|bs|crap|joke|nightmare|disgrace|outrage|scam|rip ?off|insane|absurd|nonsense|horrendous)"
    dull = r"(?:stupid|useless|idiots?|idiotic|morons?|dumb|worthless|incompetent|pathetic|liars?|thieves|crooks|scammers|clowns|garbage|trash|crap|shit|terrible|awful|horrible|hopeless|brain ?dead|rubbish|joke|disgusting)"
    ours = r"(?:bot|robot|ai|chatbot|service|support|company|product|software|app|assistant|machine|thing|people|answers?|customer service|website|system)"
    sehr = r"(?:(?:so|ein|eine|einfach|doch|echt|wirklich|absolut|völlig|total|ja|der|die|reine|nur|mal|solche|so eine) ){0,3}"
    return phrase(
        rf"(?:this|that|it|which|all of this|you|your \S+)(?: is| s| are| has become| whole \S+ is) {very}{bad}",
        rf"^(?:wow |well |sorry )?{very}{bad}(?: \S+)?$(?<!scam)(?<!joke)",
        rf"(?:you|you guys|you people|you all|u|ur|your|youre|they|your \S+|this \S+)(?: people| guys| re| are| r| is| s)? {very}{dull}(?: idiots?| bot| people|$| at| and| or)",
        r"(?:this|that|it|you|your \S+)(?: really| totally| all| just)? sucks?|(?:you|you guys|you people|this|your \S+)(?: are| re| is) the worst",
        r"(?:you|u) (?:are |re |fucking |damn |stupid )*(?:idiots?|morons?|liars?|assholes?|bastards?|bitch|cunts?)",
        rf"(?:stupid|useless|dumb|idiotic|pathetic|worthless|shitty|crappy|disgraceful|incompetent|garbage|fucking|goddamn|terrible|horrible|awful|lousy|worst) (?:\S+ ){{0,1}}{ours}",
        r"(?:third|fourth|fifth|sixth|tenth|hundredth|\d+(?:th|rd)|millionth|umpteenth) time (?:i|we|that i|now|today|asking|this)(?: \S+){0,3}",
        r"(?:asked|told|written|said|explained|contacted|called|asking|wrote)(?: to)?(?: you| this| it| already){0,3} (?:\d+|three|four|five|six|ten|several|a hundred|a million|so many|countless) times",
        r"how (?:many times|often) (?:do|must|should|have) i (?:have to |need to |must )?(?:say|ask|tell|repeat|explain|write|call|contact|told|asked|said|explained)",
        r"for the (?:last|hundredth|third|fourth) (?:fucking |damn )?time",
        r"(?:fuck|fucking|fck|wtf|stfu|screw) (?:you|this|off|that|your|it|kidding|hell|joke|ridiculous|is|idiots?)|^wtf$|^fuck$|are you fucking|shut up|go to hell|what the (?:hell|fuck|heck) (?:is|are|do|wrong|did)",
        r"(?:i am|i m|im|i m getting|makes me|i am getting|we are|we re) (?:(?:so|very|really|extremely|now|absolutely|getting|fucking|beyond|pretty) ){0,3}(?:angry|furious|pissed|pissed off|mad at|livid|outraged|disgusted|enraged|fuming)",
        r"(?:fed up|sick and tired|sick of|tired of|had enough|had it|done|enough) (?:with|of) (?:you|your|this|these|waiting|being|it|the|all)|i (?:have|ve) had enough|(?:losing|lost|running out of|out of) (?:my )?patience",
        r"(?:waste|wasting) (?:of )?(?:my |our )?(?:time|money)|wasted (?:my|our) \S+ (?:with|on) (?:you|this|your)|kidding me|how dare you|gives? a (?:damn|shit|fuck)|piece of (?:shit|crap|garbage|junk)|absolutely disgusted|worst \S+ ever|^(?:you )?(?:idiots?|morons?|thieves|liars)$",
        rf"i hate (?:this|your|you|the) (?:stupid |damn |whole )*(?:{ours}|company|place)?|unbelievable(?: \S+){{0,4}} (?:still|again|nobody|weeks|months|days)|same useless|this useless|useless answers?",
        rf"(?:das|dies|es|sowas|so etwas|hier) (?:ist|wird|war) {sehr}(?:lächerlich|unverschämt\w{{0,4}}|frechheit|unfassbar|inakzeptabel|zumutung|betrug|katastrophe|sauerei|schweinerei|witz|skandal|scheiße|scheisse|mist|schwachsinn|unerhört|armutszeugnis|abzocke)",
        r"^(?:so |was für |eine |ein |einfach |absolut )*(?:frechheit|unverschämtheit|unverschämt|scheiß\w{0,12}|sauerei|abzocke|lächerlich|saftladen|scheiss\w{0,12})$",
        rf"(?:du|ihr|sie)(?: \S+)? {sehr}(?:dumm|dämlich|unfähig|blöd|bescheuert|nutzlos|idioten?|vollidiot\w{{0,2}}|trottel|versager|betrüger|lügner|arschl\w{{2,6}})",
        r"(?:zum|das) (?:dritten|vierten|fünften|zehnten|hundertsten|\d+|x ten) ?(?:mal)(?: \S+){0,2}$|^ich (?:frage|schreibe|sage|bitte)(?: \S+){0,3} zum (?:dritten|vierten|fünften|zehnten|hundertsten) mal|wie oft (?:soll|muss|denn|noch)",
        r"stinksauer|stocksauer|verarsch\w{0,5}|halts? (?:die klappe|s maul|maul|den mund)|(?:nase|schnauze) (?:\S+ )?voll|(?:mir|uns) reicht(?: es|s)?|reicht(?: es| s)? mir|(?:jetzt|nun) reicht(?:s| es| s)|was soll (?:der|dieser) (?:scheiß|scheiss|mist|quatsch)|zeitverschwendung|fick \S+|leck mich|schlechteste\w? (?:service|support|firma|kundendienst)\w?|(?:ich bin|macht mich) (?:\S+ )?(?:wütend|sauer|zornig)|scheißladen|saftladen|am arsch",
        r"belachelijk|waardeloze? (?:\S+ )?(?:service|bot|bedrijf|klantenservice)|(?:jullie|jij|je) (?:zijn|bent) (?:\S+ )?(?:idioten|oplichters|incompetent|waardeloos|dom|idioot|dieven|dieven)|(?:het|er) (?:\S+ )?(?:zat|beu|klaar mee)|(?:derde|vierde|vijfde|tiende) keer dat ik|(?:woedend|razend)|onacceptabel|klote\w{0,10}|kut\w{0,8}|oplichters|hou je (?:mond|bek)|schande",
    )


def _romance() -> re.Pattern[str]:
    return phrase(
        r"(?:c est|ce n est|c|est|c est vraiment|c est tout simplement) (?:\S+ ){0,2}(?:ridicule|inadmissible|inacceptable|honteux|scandaleux|lamentable|une honte|n importe quoi|du vol|une arnaque|une blague|intolérable|pathétique|insupportable|de la merde)",
        r"(?:vous êtes|tu es|t es|êtes vous|ils sont) (?:\S+ ){0,2}(?:nuls?|nulles?|idiots?|incompétents?|voleurs?|inutiles?|stupides?|escrocs?|cons?|menteurs?|débiles?|imbéciles?)",
        r"(?:service|bot|robot|site|boîte|support) (?:client )?(?:de merde|nul|pourri|lamentable|inutile)|^(?:quel )?(?:scandale|honte)$|espèce d \S+|espèce de \S+|(?:en ai|on en a) (?:\S+ )?(?:marre|assez)|ras le bol|(?:vous|tu) (?:vous |te )?(?:moquez|fichez|foutez|moques) de (?:moi|nous|ma)|ta gueule|va te faire|allez vous faire|bande de \S+|putain de \S+|perte de temps|me prenez pour",
        r"(?:troisième|quatrième|cinquième|dixième|énième|\d+e|\d+eme) fois que (?:je|j)|combien de fois (?:dois|faut|je)|je suis (?:\S+ )?(?:furieux|furieuse|en colère|énervée?|hors de moi|excédée?)",
        r"(?:es|esto es|es una|es un|son una|qué|que) (?:\S+ ){0,2}(?:ridículo|inaceptable|vergonzoso|vergüenza|indignante|asco|estafa|burla|broma de mal gusto|robo|patético|lamentable|inadmisible|intolerable|porquería|mierda)",
        r"(?:sois|son|eres|usted es|ustedes son) (?:\S+ ){0,2}(?:inútil(?:es)?|idiotas?|incompetentes?|ladrones|estúpidos?|estafadores|imbécil(?:es)?|mentirosos|tontos?|basura)",
        r"(?:servicio|bot|empresa|atención|soporte) (?:\S+ )?(?:de mierda|pésim[oa]|asquerosa?|inútil)|(?:estoy|estamos|me tienen|me tenéis) (?:\S+ )?(?:hart[oa]s?|furios[oa]|enfadad[oa]|enojad[oa]|indignad[oa]|cabread[oa])|tomando(?:me)? el pelo|vete a la mierda|vete al|váyanse|cállate|hijos? de puta|pérdida de tiempo|por (?:tercera|cuarta|quinta|enésima|última) vez|(?:tercera|cuarta|quinta|enésima) vez que (?:pregunto|lo|escribo|les|digo|pido|os)|cuántas veces (?:tengo|debo|hay)|hasta las narices|ya basta",
        r"(?:é|isso é|isto é|que|uma|um) (?:\S+ ){0,2}(?:ridículo|inaceitável|vergonha|absurdo|palhaçada|vergonhoso|lixo|golpe|piada|merda|roubo|inadmissível|revoltante|descaso)",
        r"(?:vocês são|você é|vcs são|tu és) (?:\S+ ){0,2}(?:incompetentes?|idiotas?|inúteis|inútil|ladrões|burros?|mentirosos|estúpidos?|palhaços)|(?:serviço|atendimento|bot|empresa|suporte) (?:\S+ )?(?:de merda|péssim[oa]|horrível|lixo|ridículo)|seu idiota|seus (?:idiotas|ladrões|palhaços)|bando de \S+|(?:estou|tô|to) (?:\S+ )?(?:fart[oa]|furios[oa]|cansad[oa] d\S+|puto|revoltad[oa]|irritad[oa]|indignad[oa])|vai se foder|cala a boca|(?:terceira|quarta|quinta|décima|enésima) vez que|quantas vezes (?:tenho|preciso|eu)|perda de tempo|de saco cheio",
        r"(?:è|e|questo è|questa è|è una|è un|che) (?:\S+ ){0,2}(?:ridicolo|inaccettabile|vergogna|vergognoso|assurdo|scandalo|scandaloso|truffa|schifo|presa in giro|pazzesco|indecente|intollerabile)",
        r"(?:siete|sei) (?:\S+ ){0,2}(?:incompetenti|idioti|idiota|ladri|stupid[oi]|inutil[ei]|truffatori|imbecilli?|bugiardi|scemo)|(?:servizio|bot|azienda|assistenza) (?:\S+ )?(?:di merda|pessim[oa]|inutile|schifos[oa]|vergognos[oa])|(?:sono|siamo) (?:\S+ )?(?:stuf[oai]|furios[oai]|arrabbiat[oai]|incazzat[oai]|indignat[oai])|prendendo in giro|prendete in giro|vaffanculo|stai zitto|(?:terza|quarta|quinta|decima|ennesima) volta che|quante volte (?:devo|ve)|perdita di tempo|non ne posso più|mi avete (?:rotto|stufato)",
    )


def _slavic() -> re.Pattern[str]:
    return phrase(
        r"(?:to|to jest|to jakiś|to są|jakiś) (?:\S+ )?(?:śmieszne|skandal|niedopuszczalne|żenada|żenujące|kpina|oszustwo|żart|absurd|żałosne|bezczelność|nie do przyjęcia)|skandal|kpina",
        r"(?:jesteście|jesteś|wy) (?:\S+ )?(?:beznadziejni|beznadziejny|idiot\w{1,3}|głupi|niekompetentni|oszustami|złodziejami|bezużyteczny|debilami|kłamcami)|ty idioto|głupi bot|oszuści|złodzieje|(?:mam|mamy) (?:\S+ )?dość|(?:jestem) (?:\S+ )?(?:wściekł[ya]|zł[ya]|wkurzon[ya]|wkurwion[ya]|oburzon[ya])|kurwa(?: mać)?|spierdalaj\w{0,4}|zamknij się|(?:trzeci|czwarty|piąty|dziesiąty|enty) raz(?: \S+)?$|ile razy (?:mam|muszę|można)|strata czasu|najgorsz\w{1,3} (?:obsługa|serwis|firma)",
        r"(?:это|это просто|это же|какой|какое|просто) (?:\S+ )?(?:смешно|безобразие|позор|издевательство|бред|кошмар|ужас|возмутительно|недопустимо|неприемлемо|маразм|хамство|обман|развод|отстой)|безобразие|издеваетесь|(?:вы|ты) (?:\S+ )?(?:идиот\w{0,2}|дурак|дураки|тупые|тупой|мошенники|дебил\w?|воры|бесполезн\w{2}|уроды|козлы|лжецы)",
        r"(?:тупой|тупая|бесполезный|дурацкий|глупый|чертов) (?:бот|робот|сервис|техподдержка|машина)|(?:мне|нам) (?:\S+ )?надоело|надоели|(?:я )?в (?:бешенстве|ярости)|(?:я|мы) (?:\S+ )?(?:зол|зла|возмущен\w?)|какого (?:черта|хрена|фига)|мошенники|сколько можно|сколько раз|(?:в )?(?:третий|четвертый|пятый|десятый|сотый) раз (?:спрашиваю|пишу|прошу|повторяю|говорю|объясняю)|(?:пишу|спрашиваю|прошу|повторяю)(?: \S+)? (?:в )?(?:третий|четвертый|пятый|десятый|сотый) раз|заткнись|пошел ты|иди на|пошли вы|ужасный сервис|худший \S+|достали",
        r"(?:це|це просто|яке|який) (?:\S+ )?(?:неподобство|ганьба|смішно|знущання|маячня|жах|неприпустимо|неприйнятно|обман|хамство)|неподобство|знущаєтесь|(?:ви|ти) (?:\S+ )?(?:ідіот\w?|дурні|дурень|тупі|тупий|шахраї|злодії|дебіли)|(?:тупий|дурний|безглуздий|нікчемний) (?:бот|робот|сервіс)|(?:мені|нам) (?:\S+ )?набридло|(?:я )?в люті|(?:я|ми) (?:\S+ )?(?:лютий|люта|злий|зла|обурен\w{1,2})|якого (?:біса|чорта|дідька)|шахраї|скільки можна|скільки разів|(?:втретє|вчетверте|вп яте|вдесяте|всоте)|(?:третій|п ятий|десятий|сотий) раз (?:питаю|пишу|прошу)|заткнись|замовкни|дістали",
    )


def _further() -> re.Pattern[str]:
    return phrase(
        r"(?:bu|bu ne|çok|ne|tam bir|bu tam)(?: \S+)? (?:saçma|saçmalık|rezalet|rezillik|saçmalığı|kabul edilemez|skandal|ayıp|utanç verici|komik|dolandırıcılık)|rezalet|rezillik|saçmalık|kabul edilemez|(?:siz|sen) (?:\S+ )?(?:becerik\w{2,10}|aptal\w{0,6}|salak\w{0,6}|gerizekal\w{1,6}|işe yaramaz\w{0,6}|yalancı\w{0,6}|hırsız\w{0,6})|(?:aptal|salak|gerizekalı|işe yaramaz|lanet) (?:bot|robot|şirket|servis|sistem)|bıktı\w{1,4}|yeter artık|(?:üçüncü|dördüncü|beşinci|onuncu|kaçıncı) (?:kez|kere|defa) (?:soruyorum|yazıyorum|söylüyorum|arıyorum)|(?:çok )?(?:sinirliyim|öfkeliyim|kızgınım|sinirlendim)|dolandırıcı\w{0,4}|kaç kere (?:söyle|sor|yaz)\w{2,8}|dalga mı geçiyor\w{2,6}|kapa çeneni|siktir\w{0,4}|berbat (?:bir )?(?:hizmet|servis|destek)",
        r"(?:هذا|هذه|شيء|امر) (?:\S+ )?(?:سخيف|سخافه|غير مقبول|عيب|مهزله|فضيحه|عار|نصب|احتيال|هراء|قرف)|مهزله|(?:انتم|انت|انتو) (?:\S+ )?(?:فاشل\w{0,3}|غبي|اغبياء|نصابين|حراميه|لصوص|كذابين|عديمو الفائده|حمار)|يا (?:غبي|حمار|اغبياء|نصابين|كلب)|(?:انا )?(?:غاضب|غاضبه|معصب|زعلان جدا)(?: جدا)?|للمره (?:الثالثه|الرابعه|الخامسه|العاشره|المليون)(?: \S+){0,2}|كم مره (?:يجب|لازم|اقول)|خدمه (?:سيئه|زباله|فاشله|زفت)(?: جدا)?|اسوا خدمه|لصوص|نصابين|حراميه|طفح الكيل|مللت|زهقت|سئمت|اخرس|مضيعه للوقت",
    )


def _east_asian() -> re.Pattern[str]:
    return piece(
        r"बकवास|बेवकूफ|गुस्से में|गुस्सा आ|(?:तीसरी|चौथी|पांचवीं|दसवीं|सौवीं) बार (?:पूछ|बोल|कह|लिख)|घटिया|तंग आ|कितनी बार (?:पूछ|बोल|कह)|धोखेबाज|धोखा है|फालतू (?:बॉट|सर्विस)|निकम्म|शर्मनाक|मूर्ख|चुप करो|चोर हो",
        r"荒[谬謬]|(?:你们|你們|你|全|都)(?:都)?是(?:一群)?(?:骗子|騙子|白痴|傻|垃圾|废物)|垃圾(?:客服|公司|服务|服務|平台|机器人|產品|产品|软件)|生气|生氣|气死|氣死|第(?:三|四|五|六|十|几|[3-9])次(?:问|問|说|說|来|找|联系)|受够|受夠|^(?:废物|廢物|骗子|騙子|白痴|傻[逼比屄]|滚|滾)|去死|他妈|他媽|妈的|操你|什么破|什麼爛|(?:浪费|浪費)(?:我|时间|時間)|太(?:过分|過分|离谱|離譜|差劲|差勁|坑)|忍无可忍|忍無可忍|无语|投诉你|气愤|愤怒|憤怒|闭嘴|閉嘴|[问問]了(?:多少|[好几幾]|[三四五])[次遍]|恶心|噁心",
        r"ふざけ(?:る|ん|てる|てん)|いい加減に|役立たず|役に立たない(?:ボット|な)|何(?:度|回)(?:言|聞|同じ)|最(?:悪|低)(?:の|な|だ|です)(?:サービス|対応|サポート|会社|ボット)|最(?:悪|低)(?:だ|です)?$|我慢(?:でき|の限界|なら)|馬鹿(?:に|やろ|野郎|か)|バカ(?:に|か|野郎)|腹が?立|頭に来|怒って(?:い|る)|(?:三|3|四|4|五|5)(?:度|回)目(?:です|だ|の質問|なん)|詐欺(?:だ|師|会社|です)|うんざり|時間の無駄|死ね|クソ|ひどすぎ|酷すぎ|許せない|話にならない",
        r"장난(?:하|치)|화가? ?(?:나|납|났)|쓸모 ?없|(?:세|네|다섯|열|몇) ?번째 ?(?:묻|물|말|문의|요청|같은)|사기꾼|짜증|멍청|최악(?:의|이)|바보 ?(?:같|냐|야)|어이 ?(?:가 )?없|열 ?받|미친|시발|씨발|개같|지긋지긋|시간 ?낭비|몇 ?번을? ?(?:말|물|얘기)|닥쳐|도둑놈|황당하|분노",
    )


def _calm() -> re.Pattern[str]:
    """Thanks, joy, the speaker's own fault, and questions about such words."""
    return phrase(
        r"thanks|thank you|thx|(?:it|now it|that) (?:worked|works|helped)|love it|awesome|lol|haha|great thank|(?:insanely|ridiculously|stupidly|damn|holy shit that is|freaking) (?:good|great|fast|cheap|easy|well|nice|amazing|cool)|crazy good",
        r"(?:i am|i m|im|i feel|i was|feel) (?:so |such |really |just |a bit |being |too ){0,2}(?:an? )?(?:stupid|dumb|idiot|moron|slow|silly)|(?:angry|furious|mad) (?:with|at) (?:me|my|him|her)|sauer auf mein\w{0,3}|(?:witz|joke) (?:kanal|channel)|my (?:own )?(?:stupid|dumb|silly) \S+|stupid me",
        r"(?:filter|block|blocklist|moderate|handle|detect|words? like|word|report|remove|ban)(?: \S+){0,3} (?:idiots?|stupid|scam|angry|insults?|idioten?|betrug|wütende\w?|fraude|fuck|robo)",
        r"(?:is|are) (?:it|this|that|you|they) (?:an? )?(?:joke|angry|scam|useless|stupid|insane)(?: \S+){0,3} (?:or|with|feature|parameter|email|site|call)",
        r"(?:ridiculously|lächerlich) (?:cheap|günstig|billig|einfach|easy)",
        r"danke|vielen dank|super schnell|ich bin (?:\S+ )?(?:dumm|doof|blöd|bescheuert)|merci|je suis (?:\S+ )?(?:bête|nul|nulle|idiot|con)|gracias|soy (?:\S+ )?(?:tonto|tonta|idiota)|obrigad[oa]|sou (?:\S+ )?burr[oa]|grazie|sono (?:\S+ )?(?:stupid[oa]|scem[oa])|bedankt|dom van mij|dzięki|dziękuję|teşekkürler|sağ ol\w{0,5}|спасибо|я (?:\S+ )?(?:дурак|дура|тупой|тупая)|дякую|شكرا",
    )


def _calm_pieces() -> re.Pattern[str]:
    return piece(r"धन्यवाद|शुक्रिया|谢谢|謝謝|感谢|ありがとう|감사|고마")
