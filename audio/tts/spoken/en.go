package spoken

import "strings"

func english() *language {
	l := &language{
		decimal: '.', group: ',', point: "point", minus: "minus", to: "to",
		digits:   figures("zero one two three four five six seven eight nine"),
		cardinal: func(n uint64, _ gender) string { return englishNumber(n, "") },
		ordinal:  func(n uint64, _ gender) string { return englishOrdinal(n, "") },
		ordinalMarks: map[string]gender{
			"st": counting, "nd": counting, "rd": counting, "th": counting,
		},
		large: nouns(`
			k K = thousand
			m M mn mln mm million = million
			b B bn bln billion = billion
			trn tn trillion = trillion
			thousand = thousand`),
		currencies: currencies(`
			$ US$ USD = dollar, dollars, cent, cents
			C$ CAD CA$ = Canadian dollar, Canadian dollars, cent, cents
			A$ AUD AU$ = Australian dollar, Australian dollars, cent, cents
			€ EUR = euro, euros, cent, cents
			£ GBP = pound, pounds, pence, pence
			¥ JPY = yen, yen, sen, sen
			₹ INR Rs = rupee, rupees, paisa, paise
			CHF = Swiss franc, Swiss francs, centime, centimes
			R$ BRL = real, reais, centavo, centavos
			ZAR = rand, rand, cent, cents`),
		cents: " and ", centNames: true,
		units: nouns(`
			km = kilometer, kilometers
			m = meter, meters
			cm = centimeter, centimeters
			mm = millimeter, millimeters
			mi = mile, miles
			ft = foot, feet
			yd = yard, yards
			kg = kilogram, kilograms
			g = gram, grams
			mg = milligram, milligrams
			lb lbs = pound, pounds
			oz = ounce, ounces
			l L = liter, liters
			ml mL = milliliter, milliliters
			gal = gallon, gallons
			km/h kph kmh = kilometer per hour, kilometers per hour
			mph = mile per hour, miles per hour
			m/s = meter per second, meters per second
			°C ℃ = degree Celsius, degrees Celsius
			°F ℉ = degree Fahrenheit, degrees Fahrenheit
			° = degree, degrees
			kWh = kilowatt hour, kilowatt hours
			kW = kilowatt, kilowatts
			W = watt, watts
			V = volt, volts
			mAh = milliamp hour, milliamp hours
			GB = gigabyte, gigabytes
			MB = megabyte, megabytes
			KB kB = kilobyte, kilobytes
			TB = terabyte, terabytes
			Mbps Mbit/s = megabit per second, megabits per second
			Gbps = gigabit per second, gigabits per second
			Hz = hertz, hertz
			kHz = kilohertz, kilohertz
			MHz = megahertz, megahertz
			GHz = gigahertz, gigahertz
			m² m2 sqm = square meter, square meters
			km² = square kilometer, square kilometers
			m³ m3 = cubic meter, cubic meters
			sqft ft² = square foot, square feet
			min mins = minute, minutes
			h hr hrs = hour, hours
			s sec secs = second, seconds
			ms = millisecond, milliseconds`),
		per: "per", percent: "percent",
		signs: map[string]string{
			"&": "and", "+": "plus", "=": "equals", "<": "less than", ">": "greater than", "‹": "less than",
			"›": "greater than", "×": "times", "÷": "divided by", "±": "plus or minus", "@": "at", "#": "number", "§": "section",
			"½": "one half", "¼": "one quarter", "¾": "three quarters", "⅓": "one third", "⅔": "two thirds",
			"‰": "per mille", "°": "degrees", "№": "number", "≥": "at least", "≤": "at most", "≈": "about",
			"½+": "and a half", "¼+": "and a quarter", "¾+": "and three quarters", "%": "percent",
			"$": "dollars", "€": "euros", "£": "pounds", "¥": "yen", "/": "slash",
		},
		spelled: map[byte]string{
			'@': "at", '.': "dot", '-': "dash", '_': "underscore", '/': "slash", '+': "plus", ':': "colon", '#': "hash",
			'?': "question mark", '=': "equals", '&': "and", '%': "percent", '~': "tilde",
		},
		monthFirst: true,
		day:        func(l *language, d uint64, _ string) string { return l.ordinal(d, counting) },
		year:       func(l *language, y uint64) string { return englishYear(l, y) },
		yearWords:  set("in since until till by from of year before after during through circa and between"),
		clock:      englishClock,
		hourMarks:  map[string]bool{"o'clock": true},
		am:         "a m", pm: "p m",
		idWords: set(`number no id code pin account order reference ref invoice ticket case tracking confirmation booking
			zip postcode extension ext serial customer policy card iban vin flight train membership contract sku isbn
			phone call dial telephone`),
		afterName: map[string]string{"st": "Street", "dr": "Drive"},
		short: table(`
			mr = Mister
			mrs = Missus
			ms = Miz
			dr = Doctor
			prof = Professor
			st = Saint
			vs = versus
			etc = et cetera
			e.g = for example
			i.e = that is
			approx = approximately
			dept = department
			est = established
			inc = Incorporated
			ltd = Limited
			co = Company
			corp = Corporation
			no = number
			nos = numbers
			tel = telephone
			ext = extension
			ave = Avenue
			blvd = Boulevard
			rd = Road
			apt = Apartment
			jr = Junior
			sr = Senior
			mon = Monday
			tue tues = Tuesday
			wed = Wednesday
			thu thur thurs = Thursday
			fri = Friday
			jan = January
			feb = February
			mar =
			apr = April
			jun = June
			jul = July
			aug = August
			sep sept = September
			oct = October
			nov = November
			dec = December
			a.m = a m
			p.m = p m
			p.s = P S
			u.s = U S
			u.k = U K
			hr = hour
			hrs = hours
			min = minutes
			max = maximum
			incl = including
			excl = excluding
			fig =
			vol = volume
			gen = General
			rev = Reverend
			sgt = Sergeant
			capt = Captain
			asap = as soon as possible
			w/o = without`),
	}
	l.months, l.monthNames = months(`January jan, February feb, March mar, April apr, May, June jun, July jul, August aug,
		September sep sept, October oct, November nov, December dec`)
	return l
}

// englishOf: outside of North America days come first and hundreds have "and".
func englishOf(l *language, rest string) {
	if !within(rest, "us ca ph") && rest != "" {
		l.monthFirst = false
		l.cardinal = func(n uint64, _ gender) string { return englishNumber(n, " and ") }
		l.ordinal = func(n uint64, _ gender) string { return englishOrdinal(n, " and ") }
	}
	if within(rest, "gb au nz ie in za") {
		units := make(map[string]noun, len(l.units))
		for k, n := range l.units {
			n.one = british.Replace(n.one)
			n.many = british.Replace(n.many)
			units[k] = n
		}
		l.units = units
	}
}

var british = strings.NewReplacer("meter", "metre", "liter", "litre")

var (
	englishOnes = strings.Fields(`zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
		fifteen sixteen seventeen eighteen nineteen`)
	englishTens = strings.Fields("- - twenty thirty forty fifty sixty seventy eighty ninety")
)

func englishNumber(n uint64, and string) string {
	for _, s := range []struct {
		worth uint64
		name  string
	}{{1e12, " trillion"}, {1e9, " billion"}, {1e6, " million"}, {1000, " thousand"}} {
		if n >= s.worth {
			out := englishNumber(n/s.worth, and) + s.name
			switch rest := n % s.worth; {
			case rest == 0:
				return out
			case rest < 100 && and != "":
				return out + and + englishNumber(rest, and)
			default:
				return out + " " + englishNumber(rest, and)
			}
		}
	}
	switch {
	case n < 20:
		return englishOnes[n]
	case n < 100 && n%10 == 0:
		return englishTens[n/10]
	case n < 100:
		return englishTens[n/10] + " " + englishOnes[n%10]
	case n%100 == 0:
		return englishOnes[n/100] + " hundred"
	}
	if and == "" {
		and = " "
	}
	return englishOnes[n/100] + " hundred" + and + englishNumber(n%100, and)
}

var englishNth = map[string]string{
	"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
	"twelve": "twelfth",
}

func englishOrdinal(n uint64, and string) string {
	words := englishNumber(n, and)
	i := strings.LastIndexByte(words, ' ') + 1
	last := words[i:]
	switch {
	case englishNth[last] != "":
		last = englishNth[last]
	case strings.HasSuffix(last, "y"):
		last = last[:len(last)-1] + "ieth"
	default:
		last += "th"
	}
	return words[:i] + last
}

func englishYear(l *language, y uint64) string {
	hi, lo := y/100, y%100
	switch {
	case y < 1000 || y > 2999 || lo == 0 && hi%10 == 0 || hi == 20 && lo < 10:
		return l.cardinal(y, counting)
	case lo == 0:
		return l.cardinal(hi, counting) + " hundred"
	case lo < 10:
		return l.cardinal(hi, counting) + " oh " + l.digits[lo]
	}
	return l.cardinal(hi, counting) + " " + l.cardinal(lo, counting)
}

func englishClock(l *language, h, m uint64, half bool) string {
	switch {
	case m == 0 && half:
		return l.cardinal(h, counting)
	case m == 0 && h == 0:
		return "midnight"
	case m == 0 && h <= 12:
		return l.cardinal(h, counting) + " o'clock"
	case m == 0:
		return l.cardinal(h, counting) + " hundred"
	case m < 10:
		return l.cardinal(h, counting) + " oh " + l.digits[m]
	}
	return l.cardinal(h, counting) + " " + l.cardinal(m, counting)
}
