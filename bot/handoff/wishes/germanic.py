"""Asking for a person in English, German and Dutch. The fields of each wording are told in `bot.handoff.wishes.wording`."""

from bot.handoff.saying import phrase
from bot.handoff.wishes.wording import Wording


def english() -> Wording:
    which = (
        r"(?:(?:an?|the|your|some|one of your|any|another|other|real|live|actual|human|genuine|support|customer|service|care|sales|"
        r"technical|physical|living|breathing|senior|different|proper|competent|member of) ){0,5}"
    )
    strict = (
        r"(?:human beings?|humans?|person|agents?|operators?|representatives?|reps?|employees?|staff member|member of staff|supervisors?|managers?|"
        r"advis[oe]rs?|specialists?|technicians?|customer (?:service|support|care)|someone real|somebody real|real people)"
    )
    loose = rf"(?:{strict}|people|someone|somebody|anyone|anybody|staff|team|support|colleagues?|(?:one )?of your \S+|help ?desk)"
    end = (
        r"(?= (?:now|to|here|who|asap|right|immediately|instead|not|today|because|and|or|for|on|from|with|at|about|i|this|as|is|thanks|"
        r"thank|directly|regarding|concerning|in|if|so|re|already|again|urgently|soon|tomorrow|there|rather|than|over|via|by|then|ok|"
        r"anyway|before|quickly|first|my|we|it|you|that|just|really|capable|available|else|real|actually|of|your|live)(?!\S)|$)"
    )
    some, any_one = rf"{which}{strict}{end}", rf"{which}{loose}{end}"
    bot = r"(?:(?:this|the|that|your|these|an?|stupid|damn|fucking|useless|chat) ){0,3}(?:bots?|robots?|chatbots?|ai|machines?|computers?)"
    acts = r"(?:to )?(?:look|call|help|contact|answer|check|handle|reply|respond|review|assist|get back|phone|join)"
    return Wording(
        wish=phrase(
            rf"(?:talk|speak|chat|converse|write|talking|speaking|communicate|deal)(?: directly| live| instead)?(?: to| with| 2)? {any_one}",
            r"(?:connect|transfer|put|pass|forward|hand|route|switch|direct|redirect|refer|escalate)(?: me| us| this| it| my \S+)(?: through| over| on| up| straight| directly){0,2} (?:to|with|2) "
            + any_one,
            rf"(?:connect(?:ed)?|transfer(?:red)?|forwarded|hand(?:ed)? over|handover|put through|passed on|switch|escalate[d]?)(?: to| with) {some}",
            rf"(?:i|we|d|ll)(?: just| really| only| now| still| would| rather| much| d){{0,3}} (?:want|need|like|prefer|demand|require|request|insist on|rather have|have|take|wanna have) {some}",
            rf"(?:get|give|find|bring|fetch|call|send|gimme|want|need) (?:me |us )?{which}(?:{strict}|someone|somebody|colleague){end}(?<!need someone)(?<!need somebody)",
            r"(?:is there|are there|do you have|have you got) (?:an? |any |some )?(?:real |live |actual |human ){0,2}(?:person|humans?|people|human being|agents?|operators?|representatives?)(?: real| alive| there| here| around| available| online| i| we| to| who| that| on the line|$)",
            r"(?:is|are) there (?:someone|somebody|anyone|anybody) (?:real|alive|there|here|available|human|online|i can (?:talk|speak|call)|to (?:talk|speak))",
            r"(?:is )?any ?(?:body|one) (?:there|here|alive|home|human)$",
            r"any (?:real |live )?(?:humans?|people|agents?|operators?) (?:here|there|available|around|online|i)",
            rf"(?:can|may|could|might|do|let) (?:i|we|me)(?: just)? (?:have|get|reach|see|contact|get (?:a )?hold of|reach out to|get through to) {some}",
            rf"(?:get|be|put me|put us|come) in (?:touch|contact) with {any_one}",
            r"(?:want|need|like|get|prefer|request|have|give me) (?:some |an? )?(?:real |actual |live )?human (?:help|support|assistance|contact|service|advice|touch)",
            rf"(?:help|helped|answered|answer|handled|served|assisted|contacted|called|reviewed|reply|response) (?:from|by) {some}",
            rf"(?:can|could|will|would|let|have|should|want|need|may)(?: an?| some)?(?: real| actual| live)? (?:human|person|employee|representative|real agent|live agent|supervisor)(?: being| from \S+ \S+)? {acts}",
            r"(?:someone|somebody|an? colleague|an? person|one of your \S+)(?: from (?:your|the) \S+)?(?: to)? (?:call|phone|ring|contact|get back to|reach out to) (?:me|us)",
            r"^(?:call|phone|ring) me(?: back| now| asap|$)",
            rf"^(?:hi |hello |hey |no |yes |ok |okay |now |just |i said |a |real |live |actual |the )*(?:(?:support|service|sales|human|live) ){{0,2}}(?:{strict}|live (?:chat|support)|human (?:support|help|service))(?: now| asap| here| thanks| thank you| needed| required| only| instead| immediately)*$(?<!^managers)",
        ),
        refusal=phrase(
            rf"^(?:stop|turn off|switch off|shut off|no|no more|enough of|enough with|get rid of|go away) {bot}(?: now| talking| answering| responding)?$",
            rf"(?:don t|dont|do not|not|never|no longer|won t|refuse to)(?: want| wanna| like| wish| going)?(?: to)? (?:talk|speak|chat|deal|talking|speaking)(?: to| with) {bot}",
            rf"(?:sick|tired|fed up|enough) (?:of|with) (?:talking (?:to|with) )?{bot}$",
            rf"(?:i )?(?:hate|can t stand) (?:talking to )?{bot}$",
        ),
        denial=phrase(
            r"(?:don t|dont|do not|not|never|no need|needn t|without|doesn t|no longer|rather not|stop|avoid|instead of|nobody)(?: want| need| like| wish| have| going| to| be| a| an| the| any| me| us| really| actually| do| yet| necessary| for| you| u| ever){0,5} (?:talk|talking|speak|speaking|chat|transfer|transferring|connect|escalate|forward|pass|put|hand|want|need|like|get|call|contact|write|switch|someone|anyone)",
            r"(?:no|without|never mind|nevermind|forget|not need|not want|don t need|don t want|cancel)(?: an?| any| the)? (?:human|person|agent|operator|people)",
        ),
        about=phrase(
            r"^(?:\S+ ){0,2}am i (?:\S+ )?(?:talking|speaking|chatting|writing|texting) (?:to|with)",
            r"^(?:and |so |but )?(?:what|when|which|who|why) (?:happens|does|is|are|did|hours|time|if (?:an?|the|my) \S+)",
            r"^(?:and |so |but )?how (?:does|is|are|did|much|many|do (?:you|the|my|our|agents|operators|humans|people|customers|users))",
            r"(?:customers?|users?|visitors?|clients?|guests?|(?<!you )people|they|he|she|members?|patients?|students?|everyone)(?: (?!i |we |let |me |us |can i )\S+){0,3} (?:talk|speak|chat|reach|get|connect|transfer|escalate|hand|write|contact|want|wants|need|needs|asks?|requests?)",
            r"(?:can|does|will|should|could|would|when|if|how|make|let) (?:the |this |your |my |our )?(?:bot|agent|ai|assistant) ",
            r"(?:when|if|after|once|whenever) (?:an?|the|my|i|we|some ?(?:body|one)) (?:\S+ )?(?:asks?|says?|writes?|types?|clicks?|presses|press|wants?)",
            r"(?:button|link|option|feature|setting|command|label|menu|text|phrase|keyword|message|widget)(?: \S+){0,3} (?:talk|speak|transfer|connect|human|operator)",
            r"(?:person in (?:slack|discord|whatsapp|teams)|agents? (?:that|which)|cost|costs|price|pay|charge|licen[cs]es?|admin role|api key)",
            r"(?:how do i|how to|how can i|can i|want to|to) (?:stop|disable|configure|set up|remove|add|invite|assign|create|change|rename)(?: \S+){1,6}",
        ),
    )


def german() -> Wording:
    which = r"(?:(?:einem|einen|einer|eine|ein|nem|nen|den|dem|der|echten|echter|echte|echtem|richtigen|richtiger|richtige|realen|realer|menschlichen|menschlicher|lebenden|anderen|ihrer|eurer|ihren|euren) ){0,4}"
    who = r"(?:menschen|mensch|personen?|mitarbeiter(?:in|innen|n)?|berater(?:in|n)?|kollegen|kollegin|kollege|ansprechpartner(?:in)?|kundenberater(?:in)?|sachbearbeiter(?:in)?|vorgesetzten|chef|support|kundenservice|kundendienst|kundenbetreuung|agenten|operator|servicemitarbeiter)"
    anyone = rf"(?:{who}|jemandem|jemanden|jemand|wem|wen)"
    bot = r"(?:(?:den|der|dem|diesen|diesem|dieser|einem|einen|blöden|doofen|dummen|mit) ){0,3}(?:chatbot|bots?|roboter|ki|maschine|automaten)"
    talk = r"(?:sprechen|reden|chatten|schreiben|telefonieren|verbinden|verbunden|weiterleiten|weitergeleitet|weitergeben|durchstellen|unterhalten|übergeben|kontaktieren|erreichen)"
    return Wording(
        wish=phrase(
            rf"(?:ich|wir|mich|uns)(?: \S+){{0,5}} {which}{anyone}(?: \S+){{0,4}} {talk}",
            rf"^{which}{anyone}(?: \S+){{0,4}} (?:sprechen|reden|chatten)(?: \S+)?$",
            rf"^(?:mit|zu|an) {which}{anyone}(?: \S+){{0,3}} {talk}(?: \S+)?$",
            rf"(?:verbinden? (?:sie )?|verbindet |stellen? (?:sie )?|leiten? (?:sie )?|gib |geben sie |holen? (?:sie )?|holt |schicken? (?:sie )?|übergeben? (?:sie )?)(?:mich |mir |uns |das |es )(?:bitte |mal |sofort |doch )?(?:mit |zu |an )?{which}{anyone}",
            rf"(?:ich|wir) (?:will|wollen|möchte|moechte|brauche|brauchen|verlange|benötige|hätte gerne?|würde gerne?|wünsche)(?: jetzt| endlich| mal| sofort| lieber| bitte| nur)* {which}{who}(?: \S+)?$",
            rf"(?:gibt es|gibts|ist)(?: hier| da| dort| auch| denn)* {which}(?:mensch|menschen|mitarbeiter|jemand)(?: echtes| echter| da| hier| mit dem.{{0,30}}| der.{{0,30}})?$",
            rf"(?:wie|wo) (?:erreiche|bekomme|finde|kontaktiere) ich {which}(?:{who})$",
            r"(?:kann|könnte|könnten|soll|möge|bitte)(?: mich| uns| mal| bitte)* (?:jemand|ein mitarbeiter|ein kollege|ein mensch)(?: \S+){0,5} (?:anrufen|zurückrufen|kontaktieren|melden)",
            r"(?:rufen sie|ruft|ruf) mich(?: \S+){0,2} (?:an|zurück)",
            rf"^(?:hallo |nein |ja |jetzt |sofort |nur )*{which}{who}(?: jetzt| sofort| danke)*$",
        ),
        refusal=phrase(
            rf"^(?:schalten sie|schalte|schaltet|stoppen sie|stoppe?|stoppt|keinen?) {bot}(?: mehr| ab| aus)*$",
            rf"(?:nicht|keinen?)(?: \S+){{0,1}} (?:mit )?{bot}(?: mehr)? (?:sprechen|reden|chatten|schreiben)",
            rf"(?:genug von|satt von|schluss mit) {bot}",
        ),
        denial=phrase(
            rf"(?:nicht|keinen|keine|kein|keinem|keiner|ohne|niemanden|niemandem|nie)(?: \S+){{0,4}} (?:{anyone}|{talk})",
            rf"{anyone}(?: \S+){{0,3}} (?:nicht|nie)(?: \S+){{0,2}} {talk}",
        ),
        about=phrase(
            r"^(?:und |aber )?(?:wie|was) (?:übernimmt|macht|passiert|kostet|kosten|viele?|funktioniert|geht|werden|wird|lege|richte|ist|sind|können (?:kunden|nutzer|besucher))",
            r"(?:kunden?|nutzer|benutzer|besucher|sie alle|knopf|button|schaltfläche|text|befehl|option|einstellung)(?: (?!ich )\S+){0,5} (?:sprechen|reden|chatten|will|wollen|menschen|mitarbeiter)",
            r"(?:hinzufügen|einladen|anlegen|einrichten|entfernen|konfigurieren|gesprochen|zuweisen)",
            r"(?:wenn|falls|sobald) (?:ein|eine|der|die|jemand)",
        ),
    )


def dutch() -> Wording:
    which = r"(?:(?:een|de|het|met|jullie|uw|echte|echt|levende|andere|n|menselijke) ){0,5}"
    who = r"(?:mens|mensen|persoon|medewerkers?|medewerkster|iemand|collega|agent|operator|klantenservice|vertegenwoordiger|adviseur|leidinggevende|manager|supportmedewerker)"
    bot = r"(?:(?:de|deze|die|met|een|dit|stomme) ){0,3}(?:bots?|robots?|chatbots?|machine|ai|computer)"
    talk = r"(?:praten|spreken|chatten|bellen|overleggen|doorverbonden|contact)"
    return Wording(
        wish=phrase(
            rf"(?:wil|willen|kan|kunnen|mag|zou|moet|wens)(?: ik| we| graag| gewoon| liever| nu| even| eens| willen| direct| alstublieft)* {which}{who}(?: \S+){{0,4}} {talk}",
            rf"^{which}{who} {talk}$",
            rf"(?:verbind|zet|geef|stuur|schakel|breng|haal)(?: me| mij| ons)(?: door| over| direct)* (?:met |naar |aan )?{which}{who}",
            rf"ik (?:wil|zoek|heb|eis|verlang)(?: graag| nu| liever| gewoon)* {which}(?:mens|persoon|medewerker|collega|operator)(?: nodig| nu)*$",
            rf"is er(?: ook| hier| daar)* {which}(?:mens|persoon|medewerker|iemand)(?: aanwezig| hier| beschikbaar| echt| die){{1,3}}",
            r"(?:bel me|bel mij|iemand me (?:terug)?bellen)",
            r"^(?:hallo |nee |ja |nu |graag |een |echt |echte )*(?:mens|persoon|medewerker|operator|klantenservice|collega)(?: nu| graag)*$",
        ),
        refusal=phrase(
            rf"^(?:stop|stop met|geen|zet|weg met|genoeg van) {bot}(?: uit| meer)?$",
            rf"(?:niet|geen)(?: langer| meer)? {bot} (?:praten|spreken|chatten)",
        ),
        denial=phrase(rf"(?:geen|niet|zonder|nooit|niemand)(?: \S+){{0,3}} (?:{who}|{talk})"),
        about=phrase(
            r"^(?:hoe|wat|wanneer|hoeveel|waarom)(?: \S+)? (?:neemt|doet|gebeurt|kost|medewerkers|een mens|kunnen|de)",
            r"(?:klanten|klant|gebruikers?|bezoekers?|knop|optie|tekst|opdracht)(?: \S+){0,4} (?:praten|praat|spreken|wil|willen)",
            r"(?:toevoegen|uitnodigen|verwijderen|instellen|gesproken|ben je)",
        ),
    )
