package engine

import "strings"

// What is said at the other end of an outbound call, in the languages the engine
// knows: English, German, French, Spanish, Italian, Dutch, Portuguese. All are
// looked for in every call: a carrier's announcement need not be in the language
// of the agent. Phrases are as turn.Normal writes text.

// mailboxPhrases are said by machines that take messages, and hardly by people.
var mailboxPhrases = phraseList(`
leave a message | leave your message | leave me a message | leave your name | leave a short message | leave us a message
after the tone | after the beep | at the tone | at the beep | voicemail | voice mail | mailbox | answering machine
can't take your call | cannot take your call
can't come to the phone | unable to take your call | unable to come to the phone
the person you are trying to reach | the person you are calling
the number you have dialed | please record your message
hang up or press | i'm away from the phone | away from my desk or
mailbox | anrufbeantworter | nach dem signalton | nach dem piepton | nach dem ton | hinterlassen sie | hinterlass mir
nachricht hinterlassen | eine nachricht nach | gewünschte gesprächspartner
gesprächspartner ist | sprachbox | nach dem piep
messagerie | répondeur | laissez un message | laisser un message | laissez moi un message | laissez nous un message
laissez votre message | après le bip | après le signal | bip sonore | signal sonore | votre correspondant
buzón de voz | buzón | contestador | deje un mensaje
deja un mensaje | deje su mensaje | deja tu mensaje | dejar un mensaje
después de la señal | después del tono | tras la señal | oír la señal | oiga la señal
segreteria | lasciate un messaggio | lasci un messaggio | lascia un messaggio | lasciare un messaggio | dopo il segnale
dopo il bip | segnale acustico | cliente da lei chiamato | utente chiamato
na de toon | na de piep | spreek een bericht | spreek uw bericht | een bericht in | laat een bericht | bericht inspreken
antwoordapparaat | laat je bericht | laat dan een bericht
caixa postal | correio de voz | caixa de correio | deixe uma mensagem | deixe a sua mensagem | deixe sua mensagem
deixe recado | deixe o seu recado | após o sinal | após o bip | depois do sinal | gravar a sua mensagem
secretária eletrónica | secretária eletrônica`)

// absencePhrases are said by machines, and by people who tell of somebody else:
// two of them, or one in a long greeting, are as good as one of those above.
var absencePhrases = phraseList(`
not available | isn't available | not here right now
unable to answer | you have reached | you've reached | call you back
get back to you | return your call | out of the office | name and number | as soon as | can't answer | leave | press one
nicht erreichbar | nicht zu erreichen | nicht verfügbar | persönlich nicht | rufe zurück | rufen sie zurück | melde mich
rufe sie zurück | momentan nicht | zurzeit nicht | derzeit nicht | sie sind verbunden mit | außerhalb unserer
pas disponible | indisponible | suis absent | vous rappellerai
vous rappelle | rappellerons | vous êtes bien | ne peux pas répondre
dès que possible | pas joignable
no está disponible | no puedo atender | no puedo contestar | no podemos atender | le llamaré | te llamaré | devolveré
lo antes posible | ha llamado a | fuera de cobertura
non raggiungibile | non è raggiungibile | non posso rispondere | non possiamo rispondere | richiamerò | richiameremo
al più presto | momentaneamente | risponde il numero
niet bereikbaar | niet beschikbaar | niet opnemen | niet aan de telefoon | bel u terug | bel je terug | bellen u terug
zo snel mogelijk | u bent verbonden met
não posso atender | não podemos atender | não está disponível
ligo de volta | retornarei | retorno | assim que possível
ligou para | encaminhada | não disponível`)

// screeningPhrases are said by assistants that ask who calls.
var screeningPhrases = phraseList(`
record your name | state your name | say your name and | reason for calling | reason for your call | why you are calling
why you're calling | call assist | call assistant | screening service | see if this person | see if they are available
before i connect | before i try to connect | using a screening
nennen sie ihren namen | sagen sie ihren namen | grund ihres anrufs
grund für ihren anruf | warum sie anrufen | anrufassistent
dites votre nom | indiquez votre nom | motif de votre appel | raison de votre appel | filtrage d'appels
diga su nombre | motivo de su llamada | motivo de la llamada | filtro de llamadas
dica il suo nome | motivo della chiamata | motivo della sua chiamata
zeg uw naam | reden van uw gesprek | reden voor uw gesprek | reden van uw oproep
diga o seu nome | motivo da chamada | motivo da sua chamada | motivo da ligação`)

// offerPhrases are said by people who took the call, however long their
// greeting was.
var offerPhrases = phraseList(`
how can i help | how may i help | can i help | what can i do | who is this | who's this | who is calling | who's calling
this is she | this is he | how can i direct | may i help
was kann ich | wie kann ich | wer ist da | wer spricht | am apparat | womit kann ich | ja bitte
que puis je | qui est à l'appareil | je vous écoute | j'écoute | c'est de la part | comment puis je
en qué puedo | quién es | quién habla | de parte de quién | dígame | cómo puedo
come posso | chi parla | mi dica | in cosa posso
waarmee kan ik | wat kan ik | wie spreek ik | met wie | hoe kan ik
em que posso | quem fala | quem é | como posso | posso ajudar`)

// waitPhrases are said by such an assistant once it has its answer.
var waitPhrases = phraseList(`
stay on the line | one moment | please hold | hold on | let me check | thank you | thanks
bleiben sie dran | einen moment | bitte warten | vielen dank | danke
ne quittez pas | un instant | patientez | merci
no cuelgue | un momento | espere | gracias
resti in linea | un attimo | attenda | grazie
blijf aan de lijn | een moment | een ogenblik | bedankt
aguarde | um momento | não desligue | obrigado`)

func phraseList(text string) []string {
	var out []string
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		for p := range strings.SplitSeq(line, "|") {
			if p = strings.TrimSpace(p); p != "" {
				out = append(out, " "+p+" ")
			}
		}
	}
	return out
}

// count is how many of the phrases a text has that was made normal.
func count(normal string, phrases []string) (n int) {
	text := " " + normal + " "
	for _, p := range phrases {
		if strings.Contains(text, p) {
			n++
		}
	}
	return n
}
