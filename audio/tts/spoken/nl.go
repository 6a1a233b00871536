package spoken

import "strings"

func dutch() *language {
	l := &language{
		decimal: ',', group: '.', point: "komma", wholeDecimals: true, minus: "min", to: "tot",
		digits:       figures("nul één twee drie vier vijf zes zeven acht negen"),
		cardinal:     func(n uint64, _ gender) string { return dutchNumber(n) },
		ordinal:      func(n uint64, _ gender) string { return dutchOrdinal(n) },
		ordinalMarks: map[string]gender{"e": counting, "ste": counting, "de": counting},
		large: nouns(`
			mln mln. miljoen = miljoen
			mld mld. miljard = miljard`),
		currencies: currencies(`
			$ US$ USD = dollar, dollar, cent, cent
			€ EUR euro = euro, euro, cent, cent
			£ GBP = pond, pond, penny, pence
			¥ JPY = yen, yen, sen, sen
			CHF = Zwitserse frank, Zwitserse frank, rappen, rappen`),
		cents: " ",
		units: nouns(`
			km = kilometer
			m = meter
			cm = centimeter
			mm = millimeter
			kg = kilo
			g gr = gram
			mg = milligram
			l L = liter
			ml = milliliter
			km/h km/u = kilometer per uur
			m/s = meter per seconde
			°C ℃ = graad Celsius, graden Celsius
			°F = graad Fahrenheit, graden Fahrenheit
			° = graad, graden
			kWh = kilowattuur
			kW = kilowatt
			W = watt
			V = volt
			GB = gigabyte
			MB = megabyte
			kB KB = kilobyte
			Mbps Mbit/s = megabit per seconde
			GHz = gigahertz
			MHz = megahertz
			Hz = hertz
			m² m2 = vierkante meter
			km² = vierkante kilometer
			m³ m3 = kubieke meter
			min = minuut, minuten
			s sec = seconde, seconden
			ms = milliseconde, milliseconden`),
		per: "per", percent: "procent",
		signs: map[string]string{
			"&": "en", "+": "plus", "=": "is", "<": "kleiner dan", ">": "groter dan", "‹": "kleiner dan", "›": "groter dan",
			"×": "keer", "÷": "gedeeld door", "±": "plusminus", "@": "apenstaartje", "#": "nummer", "§": "paragraaf",
			"½": "een half", "¼": "een kwart", "¾": "driekwart", "⅓": "een derde", "⅔": "twee derde",
			"‰": "promille", "°": "graden", "№": "nummer", "≥": "minstens", "≤": "hoogstens", "≈": "ongeveer",
			"½+": "en een half", "¼+": "en een kwart", "¾+": "en driekwart", "%": "procent",
			"$": "dollar", "€": "euro", "£": "pond", "¥": "yen", "/": "schuine streep",
		},
		spelled: map[byte]string{
			'@': "apenstaartje", '.': "punt", '-': "streepje", '_': "laag streepje", '/': "schuine streep", '+': "plus",
			':': "dubbele punt", '#': "hekje", '?': "vraagteken", '=': "is", '&': "en", '%': "procent", '~': "tilde",
		},
		day:       func(l *language, d uint64, _ string) string { return l.cardinal(d, counting) },
		year:      dutchYear,
		yearWords: set("in sinds jaar vanaf"),
		clock: func(l *language, h, m uint64, _ bool) string {
			out := l.cardinal(h, counting) + " uur"
			if m > 0 {
				out += " " + l.cardinal(m, counting)
			}
			return out
		},
		hourWords: set("om"),
		hourMarks: map[string]bool{"uur": true, "u": true, "u.": true},
		idWords: set(`nummer nr id code pin pincode rekening bestelling bestelnummer ordernummer order referentie factuur
			factuurnummer ticket klantnummer dossier dossiernummer reservering contract postcode telefoonnummer telefoon toestel
			zending polisnummer kaart vlucht`),
		always: true,
		short: table(`
			dhr = de heer
			mevr mw = mevrouw
			dr = dokter
			drs = doctorandus
			ir = ingenieur
			ing = ingenieur
			mr = meester
			prof = professor
			bijv bv = bijvoorbeeld
			d.w.z = dat wil zeggen
			o.a = onder andere
			m.b.t = met betrekking tot
			t.o.v = ten opzichte van
			a.u.b = alstublieft
			s.v.p = alstublieft
			e.d = en dergelijke
			i.v.m = in verband met
			t/m = tot en met
			enz = enzovoort
			etc = et cetera
			ca = circa
			evt = eventueel
			incl = inclusief
			excl = exclusief
			max = maximaal
			min = minimaal
			nr = nummer
			tel = telefoon
			blz = bladzijde
			str = straat
			jl =
			jan = januari
			feb = februari
			mrt = maart
			apr = april
			jun = juni
			jul = juli
			aug = augustus
			sept sep = september
			okt = oktober
			nov = november
			dec = december
			ma = maandag
			di = dinsdag
			wo = woensdag
			vr = vrijdag
			za = zaterdag
			zo =
			btw = B T W
			st = Sint`),
	}
	l.months, l.monthNames = months(`januari jan, februari feb, maart mrt, april apr, mei, juni jun, juli jul, augustus aug,
		september sept sep, oktober okt, november nov, december dec`)
	return l
}

var (
	dutchOnes = strings.Fields(`nul één twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien
		zeventien achttien negentien`)
	dutchTens = strings.Fields("- - twintig dertig veertig vijftig zestig zeventig tachtig negentig")
)

func dutchNumber(n uint64) string {
	var parts []string
	for _, s := range []struct {
		worth uint64
		name  string
	}{{1e12, "biljoen"}, {1e9, "miljard"}, {1e6, "miljoen"}} {
		if k := n / s.worth; k > 0 {
			parts = append(parts, dutchNumber(k)+" "+s.name)
		}
		n %= s.worth
	}
	if k := n / 1000; k == 1 {
		parts = append(parts, "duizend")
	} else if k > 1 {
		parts = append(parts, dutchThree(k)+"duizend")
	}
	if n %= 1000; n > 0 || len(parts) == 0 {
		parts = append(parts, dutchThree(n))
	}
	return strings.Join(parts, " ")
}

func dutchThree(n uint64) string {
	out := ""
	if n >= 100 {
		out = "honderd"
		if n >= 200 {
			out = dutchOnes[n/100] + out
		}
		if n %= 100; n == 0 {
			return out
		}
	}
	switch {
	case n == 1 && out != "":
		return out + "een"
	case n < 20:
		return out + dutchOnes[n]
	case n%10 == 0:
		return out + dutchTens[n/10]
	case n%10 == 1:
		return out + "eenen" + dutchTens[n/10]
	case n%10 == 2 || n%10 == 3:
		return out + dutchOnes[n%10] + "ën" + dutchTens[n/10]
	}
	return out + dutchOnes[n%10] + "en" + dutchTens[n/10]
}

func dutchOrdinal(n uint64) string {
	words := dutchNumber(n)
	switch r := n % 100; {
	case n == 1:
		return "eerste"
	case r == 1 || r == 8:
		return strings.TrimSuffix(strings.TrimSuffix(words, "één"), "een") + map[bool]string{true: "eerste", false: "ste"}[r == 1]
	case r == 3:
		return strings.TrimSuffix(words, "drie") + "derde"
	case r > 1 && r < 20:
		return words + "de"
	}
	return words + "ste"
}

func dutchYear(l *language, y uint64) string {
	if y >= 1100 && y < 2000 && y%100 > 0 {
		return dutchThree(y/100) + " " + dutchThree(y%100)
	}
	return l.cardinal(y, counting)
}
