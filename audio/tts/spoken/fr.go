package spoken

import "strings"

func french() *language {
	l := &language{
		decimal: ',', group: '.', spaced: true, point: "virgule", wholeDecimals: true, minus: "moins", to: "à",
		digits:   figures("zéro un deux trois quatre cinq six sept huit neuf"),
		cardinal: func(n uint64, g gender) string { return frenchNumber(n, g, 0) },
		ordinal:  func(n uint64, g gender) string { return frenchOrdinal(n, g, 0) },
		ordinalMarks: map[string]gender{
			"er": masc, "re": fem, "ère": fem, "e": masc, "ème": masc, "eme": masc, "ième": masc, "nd": masc, "nde": fem, "è": masc,
		},
		large: nouns(`
			k = mille
			M Mio million millions = million, millions
			Md Mrd milliard milliards = milliard, milliards`),
		of: "de", elides: true,
		currencies: currencies(`
			$ US$ USD = dollar, dollars, cent, cents
			€ EUR euro euros = euro, euros, centime, centimes
			£ GBP = livre/f, livres, penny, pence
			¥ JPY = yen, yens, sen, sen
			CHF Fr = franc suisse, francs suisses, centime, centimes`),
		cents: " ",
		units: nouns(`
			km = kilomètre, kilomètres
			m = mètre, mètres
			cm = centimètre, centimètres
			mm = millimètre, millimètres
			kg = kilogramme, kilogrammes
			g = gramme, grammes
			mg = milligramme, milligrammes
			t = tonne, tonnes, f
			l L = litre, litres
			ml = millilitre, millilitres
			km/h = kilomètre heure, kilomètres heure
			m/s = mètre par seconde, mètres par seconde
			°C ℃ = degré Celsius, degrés Celsius
			°F = degré Fahrenheit, degrés Fahrenheit
			° = degré, degrés
			kWh = kilowattheure, kilowattheures
			kW = kilowatt, kilowatts
			W = watt, watts
			V = volt, volts
			Go GB = gigaoctet, gigaoctets
			Mo MB = mégaoctet, mégaoctets
			Ko kB = kilooctet, kilooctets
			Mbit/s = mégabit par seconde, mégabits par seconde
			GHz = gigahertz
			MHz = mégahertz
			Hz = hertz
			m² m2 = mètre carré, mètres carrés
			km² = kilomètre carré, kilomètres carrés
			m³ m3 = mètre cube, mètres cubes
			min mn = minute, minutes, f
			s sec = seconde, secondes, f
			ms = milliseconde, millisecondes, f`),
		per: "par", percent: "pour cent",
		signs: map[string]string{
			"&": "et", "+": "plus", "=": "égale", "<": "inférieur à", ">": "supérieur à", "‹": "inférieur à",
			"›": "supérieur à", "×": "fois", "÷": "divisé par", "±": "plus ou moins", "@": "arobase", "#": "numéro",
			"§": "paragraphe", "½": "un demi", "¼": "un quart", "¾": "trois quarts", "⅓": "un tiers", "⅔": "deux tiers",
			"‰": "pour mille", "°": "degrés", "№": "numéro", "≥": "au moins", "≤": "au plus", "≈": "environ",
			"½+": "et demi", "¼+": "un quart", "¾+": "trois quarts", "%": "pour cent",
			"$": "dollars", "€": "euros", "£": "livres", "¥": "yens", "/": "barre oblique",
		},
		spelled: map[byte]string{
			'@': "arobase", '.': "point", '-': "tiret", '_': "tiret bas", '/': "barre oblique", '+': "plus",
			':': "deux-points", '#': "dièse", '?': "point d'interrogation", '=': "égale", '&': "et", '%': "pour cent", '~': "tilde",
		},
		day: func(l *language, d uint64, _ string) string {
			if d == 1 {
				return "premier"
			}
			return l.cardinal(d, counting)
		},
		year:      func(l *language, y uint64) string { return l.cardinal(y, counting) },
		yearWords: set("en depuis année"),
		clock: func(l *language, h, m uint64, _ bool) string {
			out := l.cardinal(h, fem) + " heures"
			if h <= 1 {
				out = l.cardinal(h, fem) + " heure"
			}
			if m > 0 {
				out += " " + l.cardinal(m, counting)
			}
			return out
		},
		hourMarks: map[string]bool{"h": true, "heure": true, "heures": true},
		idWords: set(`numéro numero n° no code pin compte commande référence reference dossier facture ticket client réservation
			reservation contrat postal suivi carte vol poste téléphone telephone tél identifiant`),
		genderOf: func(word string) gender {
			if ending(word, "minute minutes heure heures seconde secondes semaine semaines personne personnes année années nuit nuits "+
				"fois place places page pages chambre chambres tion tions livre commande commandes") {
				return fem
			}
			return counting
		},
		short: table(`
			m = Monsieur
			mm = Messieurs
			mme = Madame
			mmes = Mesdames
			mlle = Mademoiselle
			dr = Docteur
			pr = Professeur
			me = Maître
			st = Saint
			ste = Sainte
			etc = et cetera
			p.ex = par exemple
			par ex = par exemple
			ex = exemple
			c.-à-d = c'est-à-dire
			cad = c'est-à-dire
			env = environ
			tél tel = téléphone
			n° no = numéro
			av = avenue
			bd boul = boulevard
			rdv = rendez-vous
			svp = s'il vous plaît
			stp = s'il te plaît
			max = maximum
			min = minimum
			janv = janvier
			févr = février
			avr = avril
			juil = juillet
			sept = septembre
			oct = octobre
			nov = novembre
			déc = décembre
			hab = habitants
			cf = confer
			apr =
			qté = quantité
			réf ref = référence
			incl =
			ttc = T T C
			bis =`),
	}
	l.months, l.monthNames = months(`janvier janv, février févr fevrier, mars, avril avr, mai, juin, juillet juil, août aout,
		septembre sept, octobre oct, novembre nov, décembre déc decembre`)
	return l
}

// frenchOf: Belgium and Switzerland count septante and nonante, most of
// Switzerland huitante.
func frenchOf(l *language, rest string) {
	form := 0
	switch {
	case within(rest, "be lu"):
		form = 1
	case within(rest, "ch"):
		form = 2
	default:
		return
	}
	l.cardinal = func(n uint64, g gender) string { return frenchNumber(n, g, form) }
	l.ordinal = func(n uint64, g gender) string { return frenchOrdinal(n, g, form) }
}

var (
	frenchOnes = strings.Fields(`zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize
		dix-sept dix-huit dix-neuf`)
	frenchTens = strings.Fields("- - vingt trente quarante cinquante soixante septante huitante nonante")
)

// frenchNumber counts as France (form 0), Belgium (1) or Switzerland (2) do.
func frenchNumber(n uint64, g gender, form int) string {
	var parts []string
	for _, s := range []struct {
		worth uint64
		name  string
	}{{1e12, "billion"}, {1e9, "milliard"}, {1e6, "million"}} {
		if k := n / s.worth; k == 1 {
			parts = append(parts, "un "+s.name)
		} else if k > 1 {
			parts = append(parts, frenchNumber(k, masc, form)+" "+s.name+"s")
		}
		n %= s.worth
	}
	if k := n / 1000; k == 1 {
		parts = append(parts, "mille")
	} else if k > 1 {
		parts = append(parts, frenchHundreds(k, masc, form, false)+" mille")
	}
	if n %= 1000; n > 0 || len(parts) == 0 {
		parts = append(parts, frenchHundreds(n, g, form, true))
	}
	return strings.Join(parts, " ")
}

// frenchHundreds is a number below 1000; only at the end hundreds and eighty
// have their s.
func frenchHundreds(n uint64, g gender, form int, end bool) string {
	if n < 100 {
		return frenchTwo(n, g, form, end)
	}
	out := "cent"
	if n >= 200 {
		out = frenchOnes[n/100] + " cent"
		if n%100 == 0 && end {
			out += "s"
		}
	}
	if n%100 > 0 {
		out += " " + frenchTwo(n%100, g, form, end)
	}
	return out
}

func frenchTwo(n uint64, g gender, form int, end bool) string {
	one := func(n uint64) string {
		if n == 1 && g == fem {
			return "une"
		}
		return frenchOnes[n]
	}
	tens, ones := n/10, n%10
	switch {
	case n < 20:
		return one(n)
	case form == 0 && (tens == 7 || tens == 9):
		if n == 71 {
			return "soixante et onze"
		}
		return map[uint64]string{7: "soixante-", 9: "quatre-vingt-"}[tens] + frenchOnes[10+ones]
	case form < 2 && tens == 8 && ones == 0 && end:
		return "quatre-vingts"
	case form < 2 && tens == 8 && ones == 0:
		return "quatre-vingt"
	case form < 2 && tens == 8:
		return "quatre-vingt-" + one(ones)
	case ones == 0:
		return frenchTens[tens]
	case ones == 1:
		return frenchTens[tens] + " et " + one(1)
	}
	return frenchTens[tens] + "-" + frenchOnes[ones]
}

func frenchOrdinal(n uint64, g gender, form int) string {
	if n == 1 && g == fem {
		return "première"
	}
	if n == 1 {
		return "premier"
	}
	words := frenchNumber(n, counting, form)
	for _, plural := range []string{"vingts", "cents", "millions", "milliards"} {
		if strings.HasSuffix(words, plural) {
			words = words[:len(words)-1]
		}
	}
	switch {
	case strings.HasSuffix(words, "f"):
		words = words[:len(words)-1] + "v"
	case strings.HasSuffix(words, "cinq"):
		words += "u"
	case strings.HasSuffix(words, "e"):
		words = words[:len(words)-1]
	}
	return words + "ième"
}
