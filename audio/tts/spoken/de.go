package spoken

import "strings"

func german() *language {
	l := &language{
		decimal: ',', group: '.', point: "Komma", minus: "minus", to: "bis",
		digits:     figures("null eins zwei drei vier fünf sechs sieben acht neun"),
		cardinal:   germanNumber,
		ordinal:    func(n uint64, _ gender) string { return germanOrdinal(n) + "r" },
		dotOrdinal: true,
		large: nouns(`
			Tsd Tsd. = tausend
			Mio Mio. Million Millionen = Million, Millionen, f
			Mrd Mrd. Milliarde Milliarden = Milliarde, Milliarden, f`),
		currencies: currencies(`
			$ US$ USD = Dollar, Dollar, Cent, Cent
			€ EUR Euro = Euro, Euro, Cent, Cent
			£ GBP = Pfund, Pfund, Penny, Pence
			¥ JPY = Yen, Yen, Sen, Sen
			CHF Fr Fr. SFr = Franken, Franken, Rappen, Rappen`),
		cents: " ",
		units: nouns(`
			km = Kilometer
			m = Meter
			cm = Zentimeter
			mm = Millimeter
			kg = Kilogramm
			g = Gramm
			mg = Milligramm
			t = Tonne, Tonnen, f
			l L = Liter
			ml = Milliliter
			km/h kmh = Kilometer pro Stunde
			m/s = Meter pro Sekunde
			°C ℃ = Grad Celsius
			°F = Grad Fahrenheit
			° = Grad
			kWh = Kilowattstunde, Kilowattstunden, f
			kW = Kilowatt
			W = Watt
			V = Volt
			GB = Gigabyte
			MB = Megabyte
			kB KB = Kilobyte
			TB = Terabyte
			Mbit/s Mbps = Megabit pro Sekunde
			GHz = Gigahertz
			MHz = Megahertz
			kHz = Kilohertz
			Hz = Hertz
			m² m2 qm = Quadratmeter
			km² = Quadratkilometer
			m³ m3 = Kubikmeter
			min Min Min. = Minute, Minuten, f
			h Std Std. = Stunde, Stunden, f
			s Sek Sek. = Sekunde, Sekunden, f
			ms = Millisekunde, Millisekunden, f
			Stk Stk. St. = Stück
			PS = P S`),
		per: "pro", percent: "Prozent",
		signs: map[string]string{
			"&": "und", "+": "plus", "=": "gleich", "<": "kleiner als", ">": "größer als", "‹": "kleiner als",
			"›": "größer als", "×": "mal", "÷": "geteilt durch", "±": "plus minus", "@": "at", "#": "Nummer", "§": "Paragraf",
			"½": "ein halb", "¼": "ein Viertel", "¾": "drei Viertel", "⅓": "ein Drittel", "⅔": "zwei Drittel",
			"‰": "Promille", "°": "Grad", "№": "Nummer", "≥": "mindestens", "≤": "höchstens", "≈": "etwa",
			"½+": "einhalb", "¼+": "einviertel", "¾+": "dreiviertel", "%": "Prozent",
			"$": "Dollar", "€": "Euro", "£": "Pfund", "¥": "Yen", "/": "Schrägstrich",
		},
		spelled: map[byte]string{
			'@': "at", '.': "Punkt", '-': "Minus", '_': "Unterstrich", '/': "Schrägstrich", '+': "Plus", ':': "Doppelpunkt",
			'#': "Raute", '?': "Fragezeichen", '=': "gleich", '&': "und", '%': "Prozent", '~': "Tilde",
		},
		day:       germanDay,
		year:      germanYear,
		yearWords: set("jahr jahre jahres seit"),
		clock:     germanClock,
		hourWords: set("um"),
		hourMarks: map[string]bool{"uhr": true},
		idWords: set(`nummer nr id code pin tan konto kontonummer kundennummer auftragsnummer bestellnummer rechnungsnummer
			rechnung bestellung auftrag ticket referenz aktenzeichen vorgangsnummer vertragsnummer postleitzahl plz durchwahl
			telefonnummer rufnummer handynummer telefon kennwort passwort buchungsnummer sendungsnummer flug artikelnummer`),
		always: true,
		genderOf: func(word string) gender {
			if ending(word, "e ung heit keit ion tät schaft Nacht Person Frage") && !ending(word, "Name Ende Auge Interesse") {
				return fem
			}
			if r := word[0]; r >= 'a' && r <= 'z' {
				return counting
			}
			return masc
		},
		short: table(`
			z.b = zum Beispiel
			d.h = das heißt
			u.a = unter anderem
			u.u = unter Umständen
			o.ä = oder Ähnliches
			v.a = vor allem
			i.d.r = in der Regel
			z.t = zum Teil
			usw = und so weiter
			etc = et cetera
			bzw = beziehungsweise
			ca = circa
			vgl = vergleiche
			ggf = gegebenenfalls
			evtl = eventuell
			inkl = inklusive
			exkl = exklusive
			zzgl = zuzüglich
			abzgl = abzüglich
			mind = mindestens
			max = maximal
			min = mindestens
			nr = Nummer
			tel = Telefon
			str = Straße
			hr = Herr
			hrn = Herrn
			fr = Frau
			dr = Doktor
			prof = Professor
			dipl =
			ing =
			st = Sankt
			abt = Abteilung
			bspw = beispielsweise
			sog = sogenannt
			geb = geboren
			jan = Januar
			feb = Februar
			apr = April
			jun = Juni
			jul = Juli
			aug = August
			sep sept = September
			okt = Oktober
			nov = November
			dez = Dezember
			gmbh = G m b H
			mwst = Mehrwertsteuer
			plz = Postleitzahl
			mo = Montag
			di = Dienstag
			mi = Mittwoch
			do = Donnerstag
			sa = Samstag
			so =
			std = Stunden
			sek = Sekunden
			mio = Millionen
			mrd = Milliarden`),
	}
	l.months, l.monthNames = months(`Januar jan jänner, Februar feb feber, März mär, April apr, Mai, Juni jun, Juli jul,
		August aug, September sep sept, Oktober okt, November nov, Dezember dez`)
	return l
}

// germanOf: Switzerland writes 1'250.50.
func germanOf(l *language, rest string) {
	if within(rest, "ch li") {
		l.decimal, l.group = '.', '\''
	}
}

var (
	germanOnes = strings.Fields(`null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn
		fünfzehn sechzehn siebzehn achtzehn neunzehn`)
	germanTens = strings.Fields("- - zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig")
)

func germanNumber(n uint64, g gender) string {
	var parts []string
	for _, s := range []struct {
		worth     uint64
		one, many string
	}{{1e12, "Billion", "Billionen"}, {1e9, "Milliarde", "Milliarden"}, {1e6, "Million", "Millionen"}} {
		if k := n / s.worth; k == 1 {
			parts = append(parts, "eine "+s.one)
		} else if k > 1 {
			parts = append(parts, germanStem(k)+" "+s.many)
		}
		n %= s.worth
	}
	if n == 0 && len(parts) > 0 {
		return strings.Join(parts, " ")
	}
	stem := germanStem(n)
	if n%100 == 1 {
		stem += map[gender]string{counting: "s", masc: "", fem: "e"}[g]
	}
	return strings.Join(append(parts, stem), " ")
}

// germanStem is a number below a million, in one word that ends in "ein".
func germanStem(n uint64) string {
	switch {
	case n < 20:
		return germanOnes[n]
	case n < 100 && n%10 == 0:
		return germanTens[n/10]
	case n < 100:
		return germanOnes[n%10] + "und" + germanTens[n/10]
	}
	worth, name := uint64(100), "hundert"
	if n >= 1000 {
		worth, name = 1000, "tausend"
	}
	out := germanStem(n/worth) + name
	if n%worth > 0 {
		out += germanStem(n % worth)
	}
	return out
}

// germanOrdinal is "dritte".
func germanOrdinal(n uint64) string {
	words := germanNumber(n, masc)
	switch n % 100 {
	case 1:
		return strings.TrimSuffix(words, "ein") + "erste"
	case 3:
		return strings.TrimSuffix(words, "drei") + "dritte"
	case 7:
		return strings.TrimSuffix(words, "en") + "te"
	case 8:
		return words + "e"
	}
	if r := n % 100; r > 0 && r < 20 {
		return words + "te"
	}
	return words + "ste"
}

// germanDay is an ordinal with the ending that the word before it wants.
func germanDay(_ *language, d uint64, before string) string {
	stem := germanOrdinal(d)
	switch {
	case germanDative[before]:
		return stem + "n"
	case before == "der" || before == "die" || before == "das":
		return stem
	}
	return stem + "r"
}

var germanDative = set(`am vom zum beim im dem den ab bis seit vor nach des zur montag dienstag mittwoch donnerstag
	freitag samstag sonntag montags und`)

func germanYear(l *language, y uint64) string {
	if y >= 1100 && y < 2000 {
		out := germanStem(y/100) + "hundert"
		if y%100 > 0 {
			out += l.cardinal(y%100, counting)
		}
		return out
	}
	return l.cardinal(y, counting)
}

func germanClock(l *language, h, m uint64, _ bool) string {
	out := l.cardinal(h, masc) + " Uhr"
	if m > 0 {
		out += " " + l.cardinal(m, counting)
	}
	return out
}
