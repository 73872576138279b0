"""Asking for a person in French, Spanish, Portuguese and Italian. The fields of each wording are told in `bot.handoff.wishes.wording`."""

from bot.handoff.saying import phrase
from bot.handoff.wishes.wording import Wording


def french() -> Wording:
    which = r"(?:(?:à|a|au|avec|un|une|le|la|l|des|de|d|du|vrai|vraie|véritable|autre|votre|vos|être|service|personne) ){0,5}"
    who = r"(?:humain|humaine|être humain|personne|conseill(?:er|ère)|agent|opérat(?:eur|rice)|quelqu un|employé|collègue|responsable|collaborateur|représentant|technicien|support|service client|interlocuteur)"
    want = r"(?:je|j|nous|on) (?:ne )?(?:veux|voudrais|souhaite|souhaiterais|aimerais|préfère|préférerais|désire|dois|exige|demande|voulons|ai besoin d)"
    bot = r"(?:(?:le|la|ce|ces|un|les|de|du|d|cette|avec) ){0,3}(?:bot|robot|chatbot|machine|ia|automate)s?"
    return Wording(
        wish=phrase(
            rf"(?:{want}|puis je|peux je|pourrais je|est ce que je peux|je peux|peut on|comment|possible de|laissez moi)(?: \S+){{0,3}} (?:parler|discuter|échanger|causer|dialoguer|joindre|contacter) {which}{who}",
            rf"^(?:parler|discuter|échanger) {which}{who}(?: \S+){{0,3}}$",
            rf"(?:passez|passe|transférez|transfère|mettez|met|mets|connectez|dirigez|donnez|redirigez|appelez|trouvez)(?: moi| nous)(?: en relation| en contact| vers| directement)* {which}{who}",
            rf"{want}(?: une?| de| d| à| vrai| vraie| juste| seulement| plutôt){{0,4}} {who}(?: \S+){{0,4}}",
            rf"^(?:j ai )?besoin (?:de |d ){which}{who}$",
            rf"(?:y a t il|il y a|est ce qu il y a)(?: bien)? {which}{who}(?: ici| de réel| de vrai| là| disponible| à qui.{{0,30}}| derrière.{{0,20}})",
            rf"être (?:rappelée?|mis en relation|contactée?|mise en relation|transférée?)(?: par| avec| vers| à)? {which}{who}",
            r"(?:rappelez|appelez) moi",
            rf"^(?:bonjour |non |oui |juste )*(?:un |une |le |la |l |vrai |vraie |être )*{who}(?: merci| maintenant| vite)*$(?<!^support)",
        ),
        refusal=phrase(
            rf"^(?:arrêtez|arrête|stop|stoppez|désactivez|plus de|pas de|assez de|marre de) {bot}$",
            rf"(?:pas|plus) (?:parler|discuter) (?:à|avec) {bot}",
        ),
        denial=phrase(rf"(?:ne|n|pas|sans|aucun|inutile)(?: \S+){{0,5}} (?:parler|discuter|pas|besoin|{who})"),
        about=phrase(
            r"^(?:comment|que|quand|combien|pourquoi|qu est ce que)(?: \S+){0,2} (?:une personne|fait|se passe|coûte|un humain|mes|les|la|le|reprend|d)",
            r"(?:clients?|utilisateurs?|visiteurs?|bouton|option|commande|texte|lien|il|elle|ils)(?: (?!je )\S+){0,4} (?:parler|discuter|veut|veulent|joindre|contacter)",
            r"(?:ajouter|inviter|supprimer|configurer|es tu|êtes vous|combien|ai parlé)",
        ),
    )


def spanish() -> Wording:
    which = r"(?:(?:con|a|al|un|una|el|la|algún|alguna|otra|otro|su|sus|verdadero|verdadera|ser|de|servicio|atención) ){0,5}"
    who = r"(?:personas?|humano|humana|ser humano|agente|operador|operadora|alguien|representante|empleado|asesora?|ejecutivo|colega|supervisora?|encargado|gerente|técnico|atención al cliente|servicio al cliente|soporte)"
    want = r"(?:quiero|quisiera|necesito|deseo|prefiero|exijo|me gustaría|solicito|queremos|necesitamos|requiero|pido)"
    bot = r"(?:(?:el|la|este|esta|al|un|una|con|los|de|más) ){0,3}(?:bots?|robots?|chatbots?|máquinas?|ia)"
    return Wording(
        wish=phrase(
            rf"(?:{want}|puedo|podría|podemos|puede|podrían|déjeme|cómo puedo|es posible|cómo hago para|dónde puedo)(?: \S+){{0,2}} (?:hablar|chatear|comunicarme|conversar|contactar|contactarme|charlar) {which}{who}",
            rf"^(?:hablar|chatear|comunicarme) {which}{who}(?: \S+){{0,3}}$",
            rf"(?:que me (?:comuniquen|pasen|conecten|transfieran)|páseme|pásame|pásenme|conécteme|conéctame|comuníqueme|comunícame|transfiérame|transfiéreme|póngame|ponme|deme|dame|derívame|derívenme|búsqueme|páseme ya) {which}{who}",
            rf"{want}(?: ya| solo| que me atienda| que me llame| hablar| la ayuda de| ayuda de){{0,2}} {which}{who}",
            rf"(?:hay|está)(?: por)? (?:alguien|algún|alguna|una|un)(?: {who})?(?: real| ahí| aquí| humano| humana| de verdad| con quien){{1,3}}",
            r"(?:que me llamen|llámenme|llámeme|que alguien me llame)",
            rf"^(?:hola |no |sí |ya |solo )*(?:un |una |el |la )?(?:ser )?{who}(?: real| humano| humana| ya| ahora| gracias| de verdad)*$(?<!^alguien)(?<!^soporte)(?<!^personas)",
        ),
        refusal=phrase(
            rf"^(?:detengan|detén|pare|paren|para|apaga|apague|basta de|no más|sin|basta con|desactiva) {bot}$",
            rf"no (?:quiero|deseo|me gusta) (?:hablar|chatear) {bot}",
        ),
        denial=phrase(rf"(?:no|sin|nunca|tampoco)(?: \S+){{0,3}} (?:hablar|quiero|necesito|deseo|pase|pases|{who})"),
        about=phrase(
            r"^(?:cómo|qué|cuándo|cuántos|cuántas|cuánto|por qué)(?: \S+)? (?:toma|hace|pasa|una persona|incluye|cuesta|agentes|mis|los|pueden|un)",
            r"(?:clientes?|usuarios?|visitantes?|botón|opción|comando|texto|enlace|ellos)(?: \S+){0,4} (?:hablar|quiere|quieren|contactar)",
            r"(?:añadir|agregar|invitar|eliminar|configurar|eres|hablé|necesita acceso)",
        ),
    )


def portuguese() -> Wording:
    which = r"(?:(?:com|a|ao|o|um|uma|algum|alguma|outra|outro|ser|do|da|de|seu|sua|verdadeiro) ){0,5}"
    who = r"(?:pessoas?|humano|humana|ser humano|atendente|operadora?|agente|alguém|representante|funcionário|funcionária|colega|supervisora?|gerente|técnico|suporte|atendimento humano|atendimento ao cliente|consultora?)"
    want = r"(?:quero|queria|preciso|gostaria|desejo|prefiro|exijo|solicito|queremos|precisamos)(?: de)?"
    bot = r"(?:(?:o|a|esse|este|com|um|uma|os|de|mais) ){0,3}(?:bots?|robôs?|robots?|chatbots?|máquinas?|ia)"
    return Wording(
        wish=phrase(
            rf"(?:{want}|posso|podemos|poderia|pode|como faço para|como posso|é possível|dá para|deixa eu|me deixe)(?: \S+){{0,2}} (?:falar|conversar|contatar|contactar|ser atendido|ser atendida) (?:por )?{which}{who}",
            rf"^(?:falar|conversar) {which}{who}(?: \S+){{0,3}}$",
            rf"(?:me |pode me |poderia me |podem me )?(?:transfira|transfere|transfiram|transferir|passe|passa|passar|conecte|conectar|encaminhe|encaminhar|chame|chama|coloque)(?: me)?(?: já)? (?:para |pra )?{which}{who}",
            rf"{want}(?: só| já){{0,2}} {which}{who}",
            r"tem (?:alguém|alguma pessoa|um humano|um atendente|uma pessoa)(?: aí| aqui| de verdade| real| humano)+",
            r"(?:me liguem|me ligue|que alguém me ligue|podem me ligar)",
            rf"^(?:olá |oi |não |sim |já |só )*(?:um |uma |o |a )?(?:ser )?{who}(?: real| humano| humana| já| agora| obrigado| de verdade)*$(?<!^alguem)(?<!^suporte)(?<!^pessoas)",
        ),
        refusal=phrase(
            rf"^(?:pare|parem|para|desligue|desliga|chega de|sem|não quero|basta de) {bot}$",
            rf"não (?:quero|desejo) (?:falar|conversar) {bot}",
        ),
        denial=phrase(rf"(?:não|sem|nunca|nem)(?: \S+){{0,3}} (?:falar|quero|preciso|transfira|{who})"),
        about=phrase(
            r"^(?:como|que|o que|quando|quantos|quantas|quanto|por que)(?: \S+)? (?:assume|faz|acontece|uma pessoa|inclui|custa|atendentes|meus|os|o plano|um)",
            r"(?:clientes?|usuários?|visitantes?|botão|opção|comando|texto|eles)(?: \S+){0,4} (?:falar|quer|querem|contatar)",
            r"(?:adicionar|convidar|remover|configurar|você é|falei)",
        ),
    )


def italian() -> Wording:
    which = r"(?:(?:con|a|ad|un|una|uno|il|la|l|lo|altro|altra|vero|vera|essere|vostro|di|dell|del|servizio) ){0,5}"
    who = r"(?:persona|persone|umano|umana|essere umano|operatore|operatrice|qualcuno|agente|consulente|collega|responsabile|impiegato|addetto|dipendente|rappresentante|tecnico|assistenza clienti|servizio clienti)"
    want = r"(?:voglio|vorrei|desidero|preferisco|ho bisogno di|mi serve|esigo|preferirei|chiedo)"
    bot = r"(?:(?:il|la|questo|questa|con|un|una|i|di) ){0,3}(?:bot|robot|chatbot|macchina|ia)"
    return Wording(
        wish=phrase(
            rf"(?:{want}|posso|potrei|possiamo|come faccio a|è possibile|come posso|fatemi|mi faccia)(?: \S+){{0,2}} (?:parlare|chattare|contattare|comunicare|parlar) {which}{who}",
            rf"^(?:parlare|chattare) {which}{who}(?: \S+){{0,3}}$",
            rf"(?:mi passi|passami|passatemi|mi metta|mettetemi|mettimi|trasferitemi|mi trasferisca|mi colleghi|collegami|datemi|chiamate|mi passa|può passarmi)(?: in contatto| subito)* {which}{who}",
            rf"{want} {which}{who}",
            rf"c è {which}{who}(?: reale| vera| vero| umana| qui| lì| con cui| disponibile){{1,3}}",
            r"(?:richiamatemi|chiamatemi|mi richiami|essere richiamat[oa])",
            rf"^(?:ciao |no |sì |salve |solo )*(?:un |una |l |il |la )?(?:essere )?{who}(?: reale| umano| umana| vera| vero| ora| subito| grazie)*$(?<!^qualcuno)(?<!^persone)",
        ),
        refusal=phrase(
            rf"^(?:basta con|basta|ferma|fermate|stop|spegni|spegnete|niente) {bot}$",
            rf"non voglio (?:parlare|chattare) {bot}",
        ),
        denial=phrase(rf"(?:non|senza|mai|né)(?: \S+){{0,3}} (?:parlare|voglio|vorrei|bisogno|passi|{who})"),
        about=phrase(
            r"^(?:come|cosa|che cosa|quando|quanti|quante|quanto|perché)(?: \S+)? (?:fa|succede|una persona|include|costa|operatori|i miei|possono|un)",
            r"(?:clienti|utenti|utente|visitatori|pulsante|opzione|comando|testo|loro)(?: \S+){0,4} (?:parlare|parla|vuole|vogliono|contattare)",
            r"(?:aggiungere|invitare|rimuovere|configurare|sei umano|ho parlato)",
        ),
    )
