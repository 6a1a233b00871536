package engine

import (
	"strings"

	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/tools/written"
)

// takeWords are a language's words of who is asked whether they take a call, as
// turn.Normal writes text.
type takeWords struct {
	// yes and no of the languages that written knows none of. They count near the
	// beginning of an answer.
	yes, no []string
	// takes and declines are told by nobody else, wherever they stand.
	takes, declines []string
	// asides mean neither, whatever word they hold.
	asides []string
}

// takings are those of the languages that we ask the question in.
var takings = map[string]takeWords{
	"en": {
		takes: phraseList(`put them through | put him through | put her through | put the caller through | put it through
			put me through | i'll take it | i will take it | i'll take the call | i'll take this | i can take it
			i can take the call | connect us | connect them | connect me | send them over`),
		declines: phraseList(`i can't | i cannot | we can't | we cannot | i'm busy | i am busy | in a meeting | not now
			call back | call later | some other time | decline`),
		asides: phraseList("no problem | no worries | why not | wait | hold on | one moment | a moment | a second"),
	},
	"de": {
		takes: phraseList(`stellen sie durch | stellen sie ihn durch | stellen sie sie durch | stell durch | stell ihn durch
			durchstellen | nehme ihn an | nehme ich an | nehme an | verbinden sie | verbinde uns | ich übernehme`),
		declines: phraseList(`kann nicht | keine zeit | gerade schlecht | bin beschäftigt | besprechung | ablehnen | lehne ab
			später`),
		asides: phraseList("kein problem | warum nicht | warten sie | einen moment | moment"),
	},
	"fr": {
		takes: phraseList(`passez le moi | passez la moi | passe le moi | passe la moi | je le prends | je la prends
			je prends l'appel | mettez nous en relation | j'accepte`),
		declines: phraseList("je ne peux pas | je peux pas | occupé | occupée | plus tard | en réunion | je refuse"),
		asides:   phraseList("pas de problème | pas de souci | pourquoi pas | attendez | un instant | un moment"),
	},
	"es": {
		yes: phraseList(`sí | si | adelante | claro | vale | de acuerdo | por supuesto | bueno | bien | correcto | perfecto
			ok | okay`),
		no: phraseList("no | nunca | tampoco"),
		takes: phraseList(`pásemelo | pásemela | pásamelo | pásamela | páselo | pásela | páseme la llamada
			la acepto | acepto | póngame con`),
		declines: phraseList("no puedo | ocupado | ocupada | más tarde | en una reunión | rechazo"),
		asides:   phraseList("no hay problema | sin problema | por qué no | un momento | espere"),
	},
	"it": {
		yes: phraseList("sì | si | certo | va bene | d'accordo | certamente | volentieri | bene | perfetto | ok | okay"),
		no:  phraseList("no | non | mai"),
		takes: phraseList(`me lo passi | me la passi | passamelo | passamela | lo prendo | la prendo | accetto
			mi metta in contatto`),
		declines: phraseList("non posso | occupato | occupata | più tardi | in riunione | rifiuto"),
		asides:   phraseList("non c'è problema | nessun problema | perché no | un momento | un attimo | aspetti"),
	},
	"nl": {
		yes: phraseList("ja | jawel | jazeker | prima | goed | graag | zeker | natuurlijk | akkoord | oké | ok | okay"),
		no:  phraseList("nee | neen | niet | geen"),
		takes: phraseList(`verbind maar door | verbindt u maar door | verbind door | verbind ze door | doorverbinden
			ik neem hem | ik neem het | ik neem op`),
		declines: phraseList("kan niet | geen tijd | bezig | later | vergadering | weiger"),
		asides:   phraseList("geen probleem | waarom niet | een moment | een ogenblik | wacht"),
	},
	"pt": {
		yes:      phraseList("sim | claro | certo | está bem | tudo bem | com certeza | pode ser | perfeito | ok | okay"),
		no:       phraseList("não | nunca"),
		takes:    phraseList("pode passar | pode ligar | passe a chamada | passe me | eu atendo | eu aceito | aceito"),
		declines: phraseList("não posso | ocupado | ocupada | mais tarde | em reunião | numa reunião | recuso"),
		asides:   phraseList("não há problema | sem problema | porque não | por que não | um momento | espere"),
	},
}

// answerWords is how many words from its beginning an answer's yes or no is looked
// for in; before the question was asked it may have no more: a greeting that holds
// one is none.
const answerWords = 5

// takes says whether words take a call or decline it: neither, where they do both.
func takes(text, language string, asked bool) (yes, no bool) {
	tag, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(language, "_", "-")), "-")
	w, ok := takings[tag]
	if !ok {
		w, language = takings["en"], "en"
	}
	text = " " + turn.Normal(text) + " "
	for _, p := range w.asides {
		text = strings.ReplaceAll(text, p, " ")
	}
	words := strings.Fields(text)
	if !asked && len(words) > answerWords {
		return false, false
	}
	begin := strings.Join(words[:min(len(words), answerWords)], " ")
	yes, no = count(begin, w.yes) > 0, count(begin, w.no) > 0
	if w.yes == nil {
		yes, no = written.Answer(begin, language)
	}
	yes, no = yes || count(text, w.takes) > 0, no || count(text, w.declines) > 0
	return yes && !no, no && !yes
}
