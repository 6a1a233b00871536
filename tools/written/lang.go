package written

import "strings"

// lang is how one language says what is written in signs and figures.
type lang struct {
	tag      string
	cardinal func(l *lang, ts []token, i int) (n uint64, used int) // used is 0 for none
	ordinal  func(l *lang, ts []token, i int) (n int, used int)
	units    map[string]int // number words below 20
	tens     map[string]int
	scales   map[string]uint64
	decimal  byte              // of a written number
	group    byte              // … its thousands
	point    map[string]string // the decimal sign in words
	minus    map[string]string
	halves   map[string]string // "and a half"
	money    map[string]string // units of which a hundredth may follow
	and      map[string]string
	oh       map[string]string // figures of telephone numbers that are words elsewhere

	signs   map[string]string // of addresses, by their names
	at      map[string]string // what may be the @ where nothing else is
	twice   map[string]string // "double": how often the next sign is meant
	letters map[string]string // names of letters
	accents map[string]string // said behind a letter: a combining mark
	asIn    map[string]string // between a letter and a word that begins with it
	code    map[string]bool   // words of spelling alphabets
	apart   map[string]string // a new word begins
	silent  map[string]string // of how it is written, said beside it
	leads   map[string]string // what is said before a value
	tails   map[string]string // … and behind
	spelled map[string]string // announces that a name is spelled

	months     map[string]int
	weekdays   map[string]int    // 0 is Sunday
	days       map[string]int    // "tomorrow": days from today
	spans      map[string]string // "weeks": day, week, month, year
	inWords    map[string]string // before a span: "in two weeks"
	nextWeek   map[string]string // of a weekday that is in the week after
	monthFirst bool
	dateFiller map[string]string

	yes, no, hedges map[string]string
	leave           map[string]string // goodbye, or "that is all"
}

// langOf is the language of a tag, English where it is none of ours.
func langOf(tag string) *lang {
	base, rest, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(tag, "_", "-")), "-")
	switch base {
	case "fr":
		return french
	case "de":
		if strings.Contains(rest, "ch") || strings.Contains(rest, "li") {
			return swiss
		}
		return german
	}
	if rest != "" && !strings.Contains(rest, "us") && !strings.Contains(rest, "ca") && !strings.Contains(rest, "ph") {
		return british
	}
	return english
}

// british is English with the day before the month.
var british = func() *lang {
	l := *english
	l.monthFirst = false
	return &l
}()

// swiss is German with the signs of Swiss numbers.
var swiss = func() *lang {
	l := *german
	l.decimal, l.group = '.', '\''
	return &l
}()

// numbered gives the words of a list their places, counted from first.
func numbered(first int, list string) map[string]int {
	m := map[string]int{}
	for i, w := range strings.Fields(list) {
		for v := range strings.SplitSeq(w, "/") {
			m[v] = first + i
		}
	}
	return m
}

func set(list string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(list) {
		m[w] = true
	}
	return m
}

// counts reads lines of "number = phrase, phrase".
func counts(lines string) map[string]int {
	m := map[string]int{}
	for p, v := range pairs(lines) {
		n, neg := 0, strings.HasPrefix(v, "-")
		for _, c := range strings.TrimPrefix(v, "-") {
			n = n*10 + int(c-'0')
		}
		if neg {
			n = -n
		}
		m[p] = n
	}
	return m
}

// nato is the spelling alphabet of every language's recognisers.
const nato = `alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike november oscar
	papa quebec romeo sierra tango uniform victor whiskey whisky x-ray xray yankee zulu `

var english = &lang{
	tag: "en", cardinal: stepwise, ordinal: englishOrdinal,
	units: numbered(0, `zero/nought one two three four five six seven eight nine ten eleven twelve thirteen fourteen
		fifteen sixteen seventeen eighteen nineteen`),
	tens:    numbered(2, "twenty thirty forty fifty sixty seventy eighty ninety"),
	scales:  map[string]uint64{"hundred": 100, "thousand": 1000, "million": 1e6, "billion": 1e9},
	decimal: '.', group: ',',
	point: words("point"), minus: words("minus negative"), and: words("and"),
	halves: words("and_a_half"), oh: map[string]string{"oh": "0", "o": "0"},
	money: words("dollar dollars euro euros pound pounds quid franc francs"),
	signs: pairs(`
		@ = at, at sign, at symbol, arobase
		. = dot, period, point, full stop
		- = dash, hyphen, minus
		_ = underscore, under score, low line
		+ = plus, plus sign
		/ = slash, forward slash
		' = apostrophe`),
	twice: map[string]string{"double": "2", "triple": "3", "treble": "3"},
	letters: pairs(`
		w = double u, double you, double-u
		z = zed, zee
		h = aitch`),
	accents: pairs(`
		` + "\u0301" + ` = accent aigu, acute, with an acute
		` + "\u0300" + ` = grave
		` + "\u0308" + ` = umlaut, with an umlaut`),
	asIn: words("as_in like_in for like as is_for"), code: set(nato + `apple boy cat dog edward frank george henry nancy
		peter queen robert sam tom young zebra`),
	apart: words("space new_word second_word"),
	silent: words(`lowercase lower_case uppercase upper_case all_lowercase all_lower_case in_lowercase capital
		all_one_word one_word in_one_word altogether all_together no_spaces letter the_letter`),
	leads: words(`is it's its that's thats email e-mail mail address my the me number phone telephone cell mobile name
		names i'm im am this called call yes yeah okay ok sure so well uh um er erm hi hello of_course actually no sorry
		i_mean again it would be reach`),
	tails: words(`please thanks thank_you speaking here okay ok right yes that's_it that_is_it and_that's_it`),
	spelled: words(`spelled spelt that's_spelled spelling it's_spelled that_is_spelled is_spelled written with_the_spelling
		that's i_spell`),
	months: numbered(1, `january/jan february/feb march/mar april/apr may june/jun july/jul august/aug september/sep/sept
		october/oct november/nov december/dec`),
	weekdays: numbered(0, `sunday/sun monday/mon tuesday/tue/tues wednesday/wed thursday/thu/thur/thurs friday/fri
		saturday/sat`),
	days: counts(`
		0 = today, tonight
		1 = tomorrow
		2 = day after tomorrow, the day after tomorrow
		-1 = yesterday
		-2 = day before yesterday, the day before yesterday`),
	spans: pairs(`
		day = day, days
		week = week, weeks
		month = month, months
		year = year, years`),
	inWords: words("in within"), nextWeek: words("next_week week"),
	monthFirst: true, dateFiller: words("the of on in and at a year"),
	yes: words(`yes yeah yep yup yes_sir correct right that's_right thats_right exactly sure okay ok absolutely definitely
		indeed fine perfect go_ahead please_do do_it that_is_correct that's_correct of_course certainly sounds_good
		that's_it you_got_it please uh-huh uh_huh mm-hmm mhm`),
	no: words(`no nope nah not wrong incorrect never don't wait stop cancel`), hedges: words("not_sure"),
	leave: words(`bye goodbye bye-bye good_bye that's_all that_is_all that_was_all nothing_else that's_everything
		that'll_be_all`),
}

var french = &lang{
	tag: "fr", cardinal: frenchCardinal, ordinal: frenchOrdinal,
	units: numbered(0, `zéro/zero un/une deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze
		seize`),
	tens: map[string]int{
		"vingt": 2, "vingts": 2, "trente": 3, "quarante": 4, "cinquante": 5, "soixante": 6, "septante": 7, "huitante": 8,
		"octante": 8, "nonante": 9,
	},
	scales: map[string]uint64{
		"cent": 100, "cents": 100, "mille": 1000, "million": 1e6, "millions": 1e6, "milliard": 1e9, "milliards": 1e9,
	},
	decimal: ',', group: '.',
	point: words("virgule point"), minus: words("moins"), and: words("et"),
	halves: words("et_demi et_demie"), oh: map[string]string{"o": "0"},
	money: words("euro euros dollar dollars franc francs livre livres"),
	signs: pairs(`
		@ = arobase, arrobase, arobas, arobaz, at, a commercial, à commercial
		. = point
		- = tiret, tiret du six, tiret du 6, trait d'union, moins, tiret haut
		_ = tiret bas, underscore, sous-tiret, tiret du huit, tiret du 8, souligné
		+ = plus
		/ = slash, barre oblique
		' = apostrophe`),
	at:    words("à a chez"),
	twice: map[string]string{"double": "2", "triple": "3"},
	letters: pairs(`
		w = double vé, double v
		y = i grec, igrec
		z = zède, zed`),
	accents: pairs(`
		` + "\u0301" + ` = accent aigu
		` + "\u0300" + ` = accent grave
		` + "\u0302" + ` = accent circonflexe
		` + "\u0308" + ` = tréma
		` + "\u0327" + ` = cédille`),
	asIn: words("comme comme_dans"), code: set(nato + `anatole berthe célestin désiré eugène françois gaston henri irma
		joseph kléber louis marcel nicolas oscar pierre quintal raoul suzanne thérèse ursule victor william xavier
		yvonne zoé`),
	apart: words("espace nouveau_mot"),
	silent: words(`minuscule minuscules en_minuscule en_minuscules tout_en_minuscule tout_en_minuscules majuscule
		tout_attaché en_un_mot en_un_seul_mot sans_espace la_lettre`),
	leads: words(`est c'est cest mappelle jmappelle sappelle lappareil mon mail e-mail email adresse l'adresse
		numéro téléphone portable nom prénom m'appelle je suis
		moi oui ouais alors euh ben bonjour d'accord voilà le la au non pardon plutôt s'appelle appelle ici donc`),
	tails:   words(`merci s'il_vous_plaît s'il_te_plaît voilà à_l'appareil au_téléphone c'est_ça d'accord c'est_tout`),
	spelled: words(`épelé ça_s'écrit s'écrit écrit j'épelle je_vous_l'épelle ça_s'épelle s'épelle`),
	months: numbered(1, `janvier/janv février/fevrier/févr mars avril/avr mai juin juillet/juil août/aout
		septembre/sept octobre/oct novembre/nov décembre/decembre/déc`),
	weekdays: numbered(0, "dimanche lundi mardi mercredi jeudi vendredi samedi"),
	days: counts(`
		0 = aujourd'hui, ce soir
		1 = demain
		2 = après-demain, après demain, apres-demain, après - demain
		-1 = hier
		-2 = avant-hier, avant hier, avant - hier`),
	spans: pairs(`
		day = jour, jours
		week = semaine, semaines
		month = mois
		year = an, ans, année, années`),
	inWords: words("dans d'ici"), nextWeek: words("semaine en_huit"),
	dateFiller: words("le de en du et l'an au a"),
	yes: words(`oui ouais si exact exactement correct c'est_ça c'est_bien_ça tout_à_fait d'accord parfait bien_sûr voilà
		c'est_bon c'est_correct absolument ok okay allez-y allez_y volontiers juste mhm`),
	no: words(`non pas faux incorrect jamais attendez arrêtez annulez`), hedges: words("pas_de_problème pas_de_souci"),
	leave: words("au_revoir c'est_tout rien_d'autre ce_sera_tout ça_sera_tout bonne_journée bonne_soirée adieu"),
}

var german = &lang{
	tag: "de", cardinal: germanCardinal, ordinal: germanOrdinal,
	decimal: ',', group: '.',
	point: words("komma punkt"), minus: words("minus"), and: words("und"),
	halves: words("einhalb ein_halb und_ein_halb"), oh: map[string]string{"o": "0"},
	money: words("euro dollar franken pfund"),
	signs: pairs(`
		@ = at, ät, klammeraffe, et, affenschwanz
		. = punkt
		- = bindestrich, minus, strich, minuszeichen
		_ = unterstrich, underscore
		+ = plus
		/ = slash, schrägstrich
		' = apostroph`),
	at: words("an bei"),
	twice: map[string]string{
		"doppel": "2", "doppelt": "2", "doppeltes": "2", "zweimal": "2", "dreifach": "3", "dreimal": "3",
	},
	letters: pairs(`
		y = ypsilon, üpsilon
		v = vau
		ß = eszett, scharfes s
		ä = a umlaut, umlaut a
		ö = o umlaut, umlaut o
		ü = u umlaut, umlaut u`),
	asIn: words("wie wie_in"), code: set(nato + `anton ärger berta cäsar dora emil friedrich gustav heinrich ida julius
		kaufmann konrad ludwig martha nordpol otto ökonom paula quelle richard samuel siegfried schule theodor ulrich
		übermut viktor wilhelm xanthippe ypsilon zacharias zeppelin`),
	apart: words("leerzeichen neues_wort"),
	silent: words(`klein kleingeschrieben alles_klein groß großes kleines großgeschrieben zusammen zusammengeschrieben
		alles_zusammen in_einem_wort ohne_leerzeichen buchstabe`),
	leads: words(`ist lautet meine mein mail e-mail email adresse die das der nummer telefonnummer handynummer rufnummer
		telefon handy name heiße bin ich hier wäre ja also äh ähm gut hallo okay nein entschuldigung unter es ist`),
	tails:   words("bitte danke am_apparat hier okay genau richtig das_ist_es das_war's"),
	spelled: words("buchstabiert geschrieben ich_buchstabiere schreibt_sich man_schreibt"),
	months: numbered(1, `januar/jänner/jan februar/feber/feb märz/maerz/mär april/apr mai juni/juno/jun juli/julei/jul
		august/aug september/sep/sept oktober/okt november/nov dezember/dez`),
	weekdays: numbered(0, "sonntag montag dienstag mittwoch donnerstag freitag samstag/sonnabend"),
	days: counts(`
		0 = heute, heute abend
		1 = morgen
		2 = übermorgen
		-1 = gestern
		-2 = vorgestern`),
	spans: pairs(`
		day = tag, tage, tagen
		week = woche, wochen
		month = monat, monate, monaten
		year = jahr, jahre, jahren`),
	inWords: words("in"), nextWeek: words("nächster_woche nächste_woche kommender_woche"),
	dateFiller: words("am der den dem vom im des jahr jahre und"),
	yes: words(`ja jawohl jo genau richtig stimmt korrekt das_stimmt exakt gerne okay ok passt in_ordnung perfekt klar
		natürlich bitte sicher machen_sie_das alles_richtig mhm`),
	no:     words("nein nee nö nicht falsch kein keine stopp halt warten abbrechen"),
	hedges: words("kein_problem warum_nicht"),
	leave: words(`tschüss tschüs auf_wiederhören auf_wiedersehen das_war's das_wars das_ist_alles das_wäre_alles
		das_war_alles nichts_mehr`),
}
