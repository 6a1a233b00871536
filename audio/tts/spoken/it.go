package spoken

import "strings"

func italian() *language {
	l := &language{
		decimal: ',', group: '.', point: "virgola", wholeDecimals: true, minus: "meno", to: "a",
		digits:       figures("zero uno due tre quattro cinque sei sette otto nove"),
		cardinal:     italianNumber,
		ordinal:      italianOrdinal,
		ordinalMarks: map[string]gender{"º": masc, "°": masc, "ª": fem},
		large: nouns(`
			mila = mila
			mln Mio milione milioni = milione, milioni
			mld miliardo miliardi = miliardo, miliardi`),
		of: "di",
		currencies: currencies(`
			$ US$ USD = dollaro, dollari, centesimo, centesimi
			€ EUR euro = euro, euro, centesimo, centesimi
			£ GBP = sterlina/f, sterline, penny, pence
			¥ JPY = yen, yen, sen, sen
			CHF = franco svizzero, franchi svizzeri, centesimo, centesimi`),
		cents: " e ",
		units: nouns(`
			km = chilometro, chilometri
			m = metro, metri
			cm = centimetro, centimetri
			mm = millimetro, millimetri
			kg = chilo, chili
			g gr = grammo, grammi
			mg = milligrammo, milligrammi
			t = tonnellata, tonnellate, f
			l L = litro, litri
			ml = millilitro, millilitri
			km/h = chilometro orario, chilometri orari
			m/s = metro al secondo, metri al secondo
			°C ℃ = grado Celsius, gradi Celsius
			°F = grado Fahrenheit, gradi Fahrenheit
			° = grado, gradi
			kWh = chilowattora, chilowattora
			kW = chilowatt
			W = watt
			V = volt
			GB = gigabyte
			MB = megabyte
			KB kB = kilobyte
			Mbps Mbit/s = megabit al secondo
			GHz = gigahertz
			MHz = megahertz
			Hz = hertz
			m² m2 mq = metro quadrato, metri quadrati
			km² = chilometro quadrato, chilometri quadrati
			m³ m3 = metro cubo, metri cubi
			min = minuto, minuti
			h = ora, ore, f
			s sec = secondo, secondi
			ms = millisecondo, millisecondi`),
		per: "al", percent: "per cento",
		signs: map[string]string{
			"&": "e", "+": "più", "=": "uguale a", "<": "minore di", ">": "maggiore di", "‹": "minore di", "›": "maggiore di",
			"×": "per", "÷": "diviso", "±": "più o meno", "@": "chiocciola", "#": "numero", "§": "paragrafo",
			"½": "un mezzo", "¼": "un quarto", "¾": "tre quarti", "⅓": "un terzo", "⅔": "due terzi",
			"‰": "per mille", "°": "gradi", "№": "numero", "≥": "almeno", "≤": "al massimo", "≈": "circa",
			"½+": "e mezzo", "¼+": "e un quarto", "¾+": "e tre quarti", "%": "per cento",
			"$": "dollari", "€": "euro", "£": "sterline", "¥": "yen", "/": "barra",
		},
		spelled: map[byte]string{
			'@': "chiocciola", '.': "punto", '-': "trattino", '_': "trattino basso", '/': "barra", '+': "più", ':': "due punti",
			'#': "cancelletto", '?': "punto interrogativo", '=': "uguale", '&': "e", '%': "per cento", '~': "tilde",
		},
		day: func(l *language, d uint64, _ string) string {
			if d == 1 {
				return "primo"
			}
			return l.cardinal(d, counting)
		},
		year:      func(l *language, y uint64) string { return l.cardinal(y, counting) },
		yearWords: set("nel dal anno"),
		clock: func(l *language, h, m uint64, _ bool) string {
			out := l.cardinal(h, counting)
			if h == 1 {
				out = "una"
			}
			if m > 0 {
				out += " e " + l.cardinal(m, counting)
			}
			return out
		},
		hourWords: set("ore alle dalle"),
		idWords: set(`numero num n id codice pin conto ordine riferimento fattura ticket pratica cliente prenotazione contratto
			cap tracking spedizione carta volo telefono tel interno tessera`),
		genderOf: func(word string) gender {
			switch {
			case ending(word, "a zione tà notte"):
				return fem
			case ending(word, "o e"):
				return masc
			}
			return counting
		},
		short: table(`
			sig = signor
			sig.ra sigra = signora
			sig.na = signorina
			sigg = signori
			dott = dottor
			dott.ssa = dottoressa
			dr = dottor
			prof = professor
			prof.ssa = professoressa
			avv = avvocato
			ing = ingegner
			geom = geometra
			ecc = eccetera
			es = esempio
			p.es = per esempio
			ca = circa
			tel = telefono
			cell = cellulare
			num nr = numero
			pag = pagina
			art = articolo
			max = massimo
			min = minimo
			gen = gennaio
			feb = febbraio
			mar =
			apr = aprile
			mag = maggio
			giu = giugno
			lug = luglio
			ago = agosto
			sett set = settembre
			ott = ottobre
			nov = novembre
			dic = dicembre
			lun = lunedì
			mer = mercoledì
			gio = giovedì
			ven = venerdì
			sab = sabato
			dom = domenica
			p.zza = piazza
			c.so = corso
			v.le = viale
			spa = S p A
			srl = S r l
			iva =
			s = san`),
	}
	l.months, l.monthNames = months(`gennaio gen, febbraio feb, marzo mar, aprile apr, maggio mag, giugno giu, luglio lug,
		agosto ago, settembre sett set, ottobre ott, novembre nov, dicembre dic`)
	return l
}

var (
	italianOnes = strings.Fields(`zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici
		quindici sedici diciassette diciotto diciannove`)
	italianTens = strings.Fields("- - venti trenta quaranta cinquanta sessanta settanta ottanta novanta")
)

func italianNumber(n uint64, g gender) string {
	if n == 1 && g == masc {
		return "un"
	}
	if n == 1 && g == fem {
		return "una"
	}
	var parts []string
	for _, s := range []struct {
		worth     uint64
		one, many string
	}{{1e12, "bilione", "bilioni"}, {1e9, "miliardo", "miliardi"}, {1e6, "milione", "milioni"}} {
		if k := n / s.worth; k == 1 {
			parts = append(parts, "un "+s.one)
		} else if k > 1 {
			parts = append(parts, italianWord(k)+" "+s.many)
		}
		n %= s.worth
	}
	if n > 0 || len(parts) == 0 {
		parts = append(parts, italianWord(n))
	}
	return strings.Join(parts, " ")
}

// italianWord is a number below a million in one word.
func italianWord(n uint64) string {
	words := italianStem(n)
	if n > 20 && n%10 == 3 && n%100 != 13 {
		words = strings.TrimSuffix(words, "tre") + "tré"
	}
	return words
}

func italianStem(n uint64) string {
	switch {
	case n < 20:
		return italianOnes[n]
	case n < 100:
		tens := italianTens[n/10]
		switch n % 10 {
		case 0:
			return tens
		case 1, 8:
			return tens[:len(tens)-1] + italianOnes[n%10]
		}
		return tens + italianOnes[n%10]
	case n < 1000:
		out := "cento"
		if n >= 200 {
			out = italianOnes[n/100] + out
		}
		if n%100 > 0 {
			out += italianStem(n % 100)
		}
		return out
	}
	out := "mille"
	if n >= 2000 {
		out = italianStem(n/1000) + "mila"
	}
	if n%1000 > 0 {
		out += italianStem(n % 1000)
	}
	return out
}

var italianNth = strings.Fields("- primo secondo terzo quarto quinto sesto settimo ottavo nono decimo")

func italianOrdinal(n uint64, g gender) string {
	var words string
	switch {
	case n == 0 || n >= 1e6:
		return italianNumber(n, g)
	case n <= 10:
		words = italianNth[n]
	case n%10 == 3 && n%100 != 13, n%10 == 6 && n%100 != 16:
		words = italianStem(n) + "esimo"
	default:
		words = italianStem(n)
		if strings.HasSuffix(words, "mila") || strings.HasSuffix(words, "mille") {
			words = strings.TrimSuffix(strings.TrimSuffix(words, "mila"), "mille") + "mille"
		}
		words = words[:len(words)-1] + "esimo"
	}
	if g == fem {
		words = words[:len(words)-1] + "a"
	}
	return words
}
