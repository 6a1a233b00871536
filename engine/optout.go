package engine

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/patchcord/patchcord/engine/turn"
)

// OptOut tells whether somebody who was called asks, with what they said, not to
// be called again (47 CFR 64.1200(a)(10): by any reasonable means). The phrases of
// all languages the engine knows are looked for: whoever is angry may use their
// own. What only puts a call off ("don't call me again today") is none, and what
// says the opposite is none. It is a net below the model and its tools: it finds
// the plain ways of saying it, and rather none than what is not meant.
func OptOut(text string) bool {
	words := bare(text)
	for _, l := range optOuts {
		for _, p := range l.phrases {
			for i := range words {
				if j, ok := p.match(words, i); ok && !l.meansLess(words, i, j) {
					return true
				}
			}
		}
	}
	return false
}

// bare are the words of a text without accents, which recognisers leave out, and
// with every "don't" written alike.
func bare(text string) []string {
	plain := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(turn.Normal(text)))
	var out []string
	for w := range strings.FieldsSeq(plain) {
		switch {
		case w == "not" && len(out) > 0 && out[len(out)-1] == "do":
			out[len(out)-1] = "don't"
		case w == "dont":
			out = append(out, "don't")
		default:
			out = append(out, w)
		}
	}
	return out
}

// optOutWords are the phrases of a language.
type optOutWords struct {
	phrases []pattern
	before  []string // words before a phrase that turn it round
	within  []string // words in it, or soon after it, that put the call off only
}

// reach is how many words around a phrase may change what it means.
const reach = 3

// meansLess tells whether the words around a phrase, or in it, take its meaning.
func (l *optOutWords) meansLess(words []string, from, to int) bool {
	if from > 0 && slices.Contains(l.before, words[from-1]) {
		return true
	}
	if from > 1 && words[from-1] == "you" && words[from-2] == "did" {
		return true
	}
	for _, w := range words[from:min(len(words), to+reach)] {
		if slices.Contains(l.within, w) {
			return true
		}
	}
	return false
}

// pattern is a phrase: a word each, or several that are alike ("me/us"). "*" are
// up to two words of any kind. "?me" may be left out. "$" is the end of what was
// said, or before a word of courtesy.
type pattern [][]string

func patterns(text string) []pattern {
	var out []pattern
	for line := range strings.SplitSeq(text, "\n") {
		for p := range strings.SplitSeq(line, "|") {
			var parts pattern
			for w := range strings.FieldsSeq(p) {
				parts = append(parts, strings.Split(w, "/"))
			}
			if len(parts) > 0 {
				out = append(out, parts)
			}
		}
	}
	return out
}

// courtesy is what may follow where a phrase has to be the last of what was said.
var courtesy = strings.Fields("please thanks thank ok okay bitte danke merci gracias grazie bedankt dank " +
	"alstublieft obrigado obrigada svp")

// match tells whether a pattern begins at a word, and where it ends.
func (p pattern) match(words []string, at int) (end int, ok bool) {
	if len(p) == 0 {
		return at, true
	}
	first, rest := p[0], p[1:]
	switch {
	case first[0] == "*":
		for skip := range reach {
			if end, ok = rest.match(words, at+skip); ok || at+skip >= len(words) {
				return end, ok
			}
		}
		return 0, false
	case slices.Contains(first, "$") && (at >= len(words) || slices.Contains(courtesy, words[at])):
		return at, true
	}
	if at < len(words) && slices.ContainsFunc(first, func(w string) bool {
		return strings.TrimPrefix(w,
			"?") == words[at]
	}) {
		if end, ok = rest.match(words, at+1); ok {
			return end, true
		}
	}
	if strings.HasPrefix(first[0], "?") {
		return rest.match(words, at)
	}
	return 0, false
}

// englishLimits put a call off.
var englishLimits = strings.Fields("today tonight now before until till tomorrow morning afternoon evening week " +
	"weekend weekends " +
	"month sunday sundays saturday saturdays minute moment meantime while during early late unless if")

// optOuts are what people say who do not want to be called, without accents.
var optOuts = []optOutWords{
	{ // English
		phrases: patterns(`
			don't/never ?ever ?you ?please call/phone/ring/contact/telephone ?me/us/here/this ?number ?phone again/anymore/ever
			don't/never ?ever ?you ?please call/phone/ring/contact/telephone ?me/us/here/this ?number any more
			don't/never ?ever ?please call/phone/contact me/us/here $ | don't/never ?ever ?please call this/my number
			don't/never ?ever ?please call/contact me/us back $ | never call me/us/here/this
			stop/quit calling/phoning/ringing/contacting/bothering/harassing me/us/here/this/my/people
			stop/quit calling $ | stop/quit these/those/the/your/all calls | stop/quit with these/those/the/your calls
			take/remove/delete/scratch/strike/cross/get me/us/my/this ?phone ?number ?name ?and ?number off/from ?of * list/lists/database/records/system/register
			take/remove me/us/my/this ?number off/from your/the/this/that ?calling ?call ?contact list/lists/database/records/system
			removed/taken/deleted off/from your/the/this/that * list/lists/database/records/system
			put/place/add me/us/my/this ?number on/to your/the ?national don't call | on/to your/the ?national don't call list $
			i'm/we're on the ?national don't call | i am on the ?national don't call | we are on the ?national don't call
			my number is on the ?national don't call
			lose my number $ | delete my ?phone number $ | cease and desist | leave me/us alone $`),
		before: strings.Fields("i we they he she if did didn't don't not won't never cannot can't why when unless " +
			"until doesn't"),
		within: englishLimits,
	},
	{ // English, of what somebody wants
		phrases: patterns(`
			opt me out | want/like/wish/need to opt out | opt out of * calls | opt out $ | opting out of
			unsubscribe me | want/like/wish to unsubscribe | unsubscribe $
			don't want/need any ?more ?of ?your ?these calls | don't want your/these/those calls | no more calls $
			don't want to be called/contacted/phoned ?by again/anymore/ever/you/anyone/any
			don't want to receive/get ?any ?more ?of ?your ?these ?such calls
			don't want you/anybody/anyone to call/contact me/us/here again/anymore/ever | don't want you calling
			don't want you/anybody/anyone to call/contact me/us/here any more
			revoke/withdraw/revoking/withdrawing my consent`),
		before: strings.Fields("if didn't don't not never why when unless until"),
		within: englishLimits,
	},
	{ // German
		phrases: patterns(`
			rufen/kontaktieren/belastigen sie ?mich/uns ?bitte ?hier ?auf ?dieser ?nummer nicht mehr/wieder
			rufen/kontaktieren/belastigen sie ?mich/uns ?bitte ?hier nie mehr/wieder
			ruf/ruft ?mich/uns ?bitte ?hier nicht/nie mehr/wieder an | nicht/nie mehr/wieder anrufen | nicht/nie mehr/wieder angerufen
			nicht/nie mehr/wieder * kontaktieren | keine ?weiteren anrufe mehr | keine weiteren anrufe
			horen/hor/hort ?sie ?bitte ?endlich auf ?mich/uns ?hier ?standig anzurufen | horen/hor/hort ?sie ?bitte ?endlich auf mit den/diesen/ihren anrufen
			streichen/loschen/nehmen/entfernen/tragen ?sie mich/uns/meine/meinen/unsere ?bitte ?nummer ?telefonnummer ?namen ?bitte aus/von ?aus * liste/listen/verteiler/datenbank/kartei/system/daten
			von/aus ihrer/der/eurer/dieser/den/ihren ?liste/listen ?datenbank ?verteiler gestrichen/geloscht/genommen/entfernt/streichen/loschen/nehmen/entfernen
			loschen sie ?bitte ?alle meine ?bitte nummer/telefonnummer/daten | nehmen sie mich ?bitte ?da ?von ?der ?liste raus
			mochte/will/wunsche/mochten/wollen ?ich/wir nicht/nie mehr/wieder * angerufen/kontaktiert/belastigt
			mochte/will/wunsche/mochten/wollen ?ich/wir ?von ?ihnen keine ?weiteren ?mehr ?solchen ?solche anrufe
			lassen sie mich/uns ?bitte ?endlich in ruhe | lass/lasst mich/uns ?bitte ?endlich in ruhe
			widerrufe ?ich ?hiermit meine einwilligung/zustimmung | widerspreche ?ich ?hiermit * anrufen/werbung/nutzung
			robinsonliste | robinson liste | auf ?ihre ?die ?eure sperrliste`),
		before: strings.Fields("warum wieso wenn falls sonst ob"),
		within: strings.Fields("heute heut jetzt vor bis morgen abend abends woche wochenende gerade momentan mittag " +
			"mittags nachts " +
			"sonntag sonntags samstag samstags so verpassen ohne solange"),
	},
	{ // French
		phrases: patterns(`
			ne m'appelez/m'appeler/m'appelle/m'appellez/m'importunez/m'embetez plus/jamais | m'appelez/m'appeler plus jamais/$
			ne me/nous rappelez/contactez/recontactez/telephonez/derangez/harcelez ?surtout plus/jamais
			ne nous/appelez/rappelez ?appelez ?rappelez plus/jamais | n'appelez plus/jamais
			ne plus m'appeler/nous/me ?appeler ?rappeler ?contacter ?telephoner ?deranger | ne plus etre appele/contacte/derange/appelee/contactee/derangee
			arretez/arrete/cessez/cesse ?donc de/d' m'appeler/m'appeller/m'importuner/appeler/telephoner
			arretez/arrete/cessez/cesse ?donc de me/nous appeler/rappeler/contacter/telephoner/deranger/harceler/demarcher
			retirez/enlevez/supprimez/rayez/effacez/otez/retire/enleve/supprime moi/nous/mon/mes/notre ?numero ?nom ?coordonnees ?donnees de/du * liste/listes/fichier/fichiers/base/registre
			supprimez/effacez mon/mes numero/coordonnees/donnees
			me retirer/supprimer/enlever/rayer/effacer/desinscrire de/du * liste/listes/fichier/fichiers/base
			ne veux/souhaite/desire/voulons/souhaitons plus ?etre ?recevoir ?d'etre ?de ?vos ?d'appels ?d' appele/appelee/appeles/contacte/contactee/derange/derangee/demarche/demarchee/appels/d'appels
			ne veux/souhaite plus que vous m'appeliez/nous/me ?appeliez ?contactiez
			je veux/souhaite ?plus aucun appel | plus d'appels $ | laissez moi/nous tranquille/tranquilles
			inscrit/inscrite/inscrits * bloctel | sur ?la ?liste bloctel | m'oppose a * demarchage/appels/prospection
			retire mon consentement | revoque mon consentement`),
		before: strings.Fields("pourquoi si"),
		within: strings.Fields("aujourd'hui avant maintenant soir matin demain semaine week weekend midi moment " +
			"instant apres jusqu'a " +
			"jusqu'au dimanche samedi si tard tot rater manquer"),
	},
	{ // Spanish
		phrases: patterns(`
			no me/nos vuelva/vuelvan/vuelvas a llamar/molestar/contactar/telefonear | no vuelva/vuelvan/vuelvas a llamar/llamarme/llamarnos/molestarme/contactarme
			no me/nos llame/llamen/llames/moleste/molesten/molestes/contacte/contacten/contactes mas/nunca/jamas/$
			no me/nos llame/llamen/llames/moleste/molesten nunca mas | nunca mas me/nos llame/llamen/llames | no llame/llamen mas
			no me/nos siga/sigan/sigas llamando/molestando
			deje/dejen/deja/pare/paren de llamar/llamarme/llamarnos/molestar/molestarme/molestarnos
			quiteme/quitenme/quitame/borreme/borrenme/borrame/elimineme/eliminenme/eliminame/saqueme/saquenme/sacame/retireme/retirenme/deme de * lista/listas/base/registro/sistema
			quite/quiten/borre/borren/elimine/eliminen/saque/saquen mi/este numero/nombre/telefono ?numero de * lista/listas/base/registro/sistema
			borre/borren/elimine/eliminen mi/mis numero/telefono/datos
			no quiero ?recibir ?mas llamadas | no quiero ?recibir ?sus ?mas llamadas | no quiero/deseo que me/nos llame/llamen/llames/vuelvan/vuelva/molesten/contacten
			no quiero/deseo ser llamado/contactado/molestado | no deseo recibir * llamadas | no mas llamadas $
			lista robinson | retiro/revoco mi consentimiento | dejeme/dejenme/dejame en paz`),
		before: strings.Fields("si porque cuando"),
		within: strings.Fields("hoy ahora antes hasta manana noche tarde semana momento domingo domingos sabado " +
			"sabados temprano perder si mientras"),
	},
	{ // Italian
		phrases: patterns(`
			non mi/ci chiami/chiamate/chiamare/chiamarmi/richiami/richiamate/contatti/contattate/disturbi/disturbate/telefoni/telefonate ?mai piu/mai
			non chiami/chiamate/chiamare/chiamarmi/chiamarci/chiamatemi/chiamateci/telefonate ?mai piu/mai
			smetta/smettete/smettetela/smettila/smetti/finitela/basta ?di ?con chiamarmi/chiamarci/chiamare/disturbarmi/disturbarci/telefonarmi/telefonate/chiamate
			toglietemi/toglimi/cancellatemi/cancellami/rimuovetemi/rimuovimi/eliminatemi/toglieteci * lista/liste/elenco/elenchi/database/archivio/archivi
			mi tolga/cancelli/rimuova/elimini * lista/liste/elenco/elenchi/database/archivio
			tolga/togliete/cancelli/cancellate/rimuova/rimuovete/elimini/eliminate il/i mio/miei numero/nome/dati
			non voglio/desidero ?piu ?essere ?ricevere ?piu ?le ?vostre chiamato/chiamata/contattato/contattata/disturbato/disturbata/telefonate/chiamate
			non voglio/desidero ?piu che mi/ci chiami/chiamate/chiamiate/contattiate | niente piu chiamate/telefonate
			registro * opposizioni | revoco/ritiro il ?mio consenso | mi lasci in pace | lasciatemi in pace | lasciami in pace`),
		before: strings.Fields("perche se quando"),
		within: strings.Fields("oggi adesso ora prima fino domani stasera sera mattina settimana momento domenica " +
			"sabato presto tardi perdere se"),
	},
	{ // Dutch
		phrases: patterns(`
			bel/belt/bellen ?u ?jullie ?me/mij/ons ?alstublieft ?hier niet/nooit meer/weer/opnieuw
			niet/nooit meer bellen | niet/nooit meer te bellen | nooit meer opbellen
			stop/hou/houd ?eens ?alstublieft ?op met ?mij ?me ?ons ?te ?het bellen/gebel/opbellen
			haal/haalt/verwijder/verwijdert/schrap/schrapt ?u me/mij/ons/mijn ?nummer ?telefoonnummer ?naam ?alstublieft van/uit ?uit * lijst/lijsten/bestand/database/systeem/administratie
			van/uit uw/de/jullie/je lijst/lijsten/bestand/database/systeem halen/verwijderen/schrappen/gehaald/verwijderd
			verwijder mijn nummer/telefoonnummer/gegevens
			wil/willen/wens ?ik ?wij ?we niet/nooit meer ?door ?jullie ?door ?u gebeld/benaderd/lastiggevallen/gecontacteerd/opgebeld
			wil/willen geen telefoontjes/telefoontje/oproepen/belletjes ?meer | geen telefoontjes meer
			bel me niet register | recht van verzet | trek mijn toestemming in | laat me/mij/ons ?alstublieft met rust`),
		before: strings.Fields("waarom als wanneer"),
		within: strings.Fields("vandaag nu voor vanavond vanmiddag morgen week weekend avond ochtend zondag zondags " +
			"zaterdag moment tot zo missen als"),
	},
	{ // Portuguese
		phrases: patterns(`
			nao me/nos ligue/liguem/ligues/telefone/telefonem/contacte/contactem/contate/contatem/perturbe/incomode/incomodem mais/nunca/novamente/$
			nao me/nos volte/voltem/voltes a ligar/telefonar/contactar/contatar/incomodar | nao volte/voltem/voltes a ligar/telefonar/contactar
			nao me/nos ligue/liguem/ligues nunca mais | nunca mais me/nos ligue/liguem | nao ligue/liguem/ligues ?para ?ca ?aqui mais
			nao me/nos ligue/liguem de novo | nao ligue/liguem ?mais ?para ?ca ?aqui ?para ?mim mais
			pare/parem/para/deixe/deixem/deixa de ?me ?nos ligar/telefonar/incomodar/contactar/perturbar/chamar
			me tire/tira/tirem/retire/retirem/remova/removam/exclua/excluam/risque ?ja ?logo da/de/do/dessa/desta * lista/listas/cadastro/base/sistema
			tire/tirem/retire/retirem/remova/removam/apague/apaguem/exclua/excluam/elimine me/o/meu/nos ?meu ?numero ?nome ?telefone da/de/do/dessa/desta * lista/listas/cadastro/base/sistema
			tire/tirem/retire/retirem/remova/removam/apague/apaguem/exclua/excluam/elimine ?o/os meu/meus numero/telefone/dados
			nao quero/desejo ?receber ?mais ?receber ?as ?suas ?mais ligacoes/chamadas/telefonemas
			nao quero/desejo ?mais que me/nos ligue/liguem/ligues/telefonem/contactem | nao quero/desejo mais ser contactado/contatado/contactada/contatada/incomodado
			nao quero/desejo ser contactado/contatado/contactada/contatada mais | chega de ligacoes/chamadas
			retiro/revogo ?o meu consentimento | nao me perturbe | deixe/deixem me em paz | me deixe/deixem em paz`),
		before: strings.Fields("porque se quando por"),
		within: strings.Fields("hoje agora antes ate amanha noite tarde manha semana momento domingo sabado cedo " +
			"perder se enquanto"),
	},
}
