package spoken

import "strings"

func spanish() *language {
	l := &language{
		decimal: ',', group: '.', spaced: true, point: "coma", wholeDecimals: true, minus: "menos", to: "a",
		digits:   figures("cero uno dos tres cuatro cinco seis siete ocho nueve"),
		cardinal: spanishNumber,
		ordinal:  spanishOrdinal,
		ordinalMarks: map[string]gender{
			"º": masc, ".º": masc, "ª": fem, ".ª": fem, "°": masc, "er": masc, ".er": masc, "o": masc, "a": fem,
		},
		large: nouns(`
			mil = mil
			M Mio millón millones = millón, millones`),
		of: "de",
		currencies: currencies(`
			$ US$ USD = dólar, dólares, centavo, centavos
			MX$ MXN = peso, pesos, centavo, centavos
			€ EUR euro euros = euro, euros, céntimo, céntimos
			£ GBP = libra/f, libras, penique, peniques
			¥ JPY = yen, yenes, sen, sen
			CHF = franco suizo, francos suizos, céntimo, céntimos`),
		cents: " con ",
		units: nouns(`
			km = kilómetro, kilómetros
			m = metro, metros
			cm = centímetro, centímetros
			mm = milímetro, milímetros
			kg = kilo, kilos
			g gr = gramo, gramos
			mg = miligramo, miligramos
			t = tonelada, toneladas, f
			l L = litro, litros
			ml = mililitro, mililitros
			km/h = kilómetro por hora, kilómetros por hora
			m/s = metro por segundo, metros por segundo
			°C ºC ℃ = grado Celsius, grados Celsius
			°F = grado Fahrenheit, grados Fahrenheit
			° = grado, grados
			kWh = kilovatio hora, kilovatios hora
			kW = kilovatio, kilovatios
			W = vatio, vatios
			V = voltio, voltios
			GB = gigabyte, gigabytes
			MB = megabyte, megabytes
			KB kB = kilobyte, kilobytes
			Mbps Mb/s = megabit por segundo, megabits por segundo
			GHz = gigahercio, gigahercios
			MHz = megahercio, megahercios
			Hz = hercio, hercios
			m² m2 = metro cuadrado, metros cuadrados
			km² = kilómetro cuadrado, kilómetros cuadrados
			m³ m3 = metro cúbico, metros cúbicos
			min = minuto, minutos
			s seg = segundo, segundos
			ms = milisegundo, milisegundos`),
		per: "por", percent: "por ciento",
		signs: map[string]string{
			"&": "y", "+": "más", "=": "igual a", "<": "menor que", ">": "mayor que", "‹": "menor que", "›": "mayor que",
			"×": "por", "÷": "entre", "±": "más menos", "@": "arroba", "#": "número", "§": "párrafo",
			"½": "un medio", "¼": "un cuarto", "¾": "tres cuartos", "⅓": "un tercio", "⅔": "dos tercios",
			"‰": "por mil", "°": "grados", "№": "número", "≥": "al menos", "≤": "como máximo", "≈": "unos",
			"½+": "y medio", "¼+": "y cuarto", "¾+": "y tres cuartos", "%": "por ciento",
			"$": "dólares", "€": "euros", "£": "libras", "¥": "yenes", "/": "barra",
		},
		spelled: map[byte]string{
			'@': "arroba", '.': "punto", '-': "guion", '_': "guion bajo", '/': "barra", '+': "más", ':': "dos puntos",
			'#': "almohadilla", '?': "signo de interrogación", '=': "igual", '&': "y", '%': "por ciento", '~': "tilde",
		},
		day: func(l *language, d uint64, _ string) string {
			if d == 1 {
				return "uno"
			}
			return l.cardinal(d, counting)
		},
		dayOf:     "de",
		year:      func(l *language, y uint64) string { return l.cardinal(y, counting) },
		yearWords: set("año desde"),
		clock: func(l *language, h, m uint64, _ bool) string {
			out := l.cardinal(h, fem)
			if m > 0 {
				out += " " + l.cardinal(m, counting)
			}
			return out
		},
		hourMarks: map[string]bool{"h": true, "hs": true, "hrs": true, "horas": true, "hora": true},
		am:        "de la mañana", pm: "de la tarde",
		idWords: set(`número numero núm num no id código codigo pin cuenta pedido referencia factura ticket caso cliente reserva
			contrato postal seguimiento tarjeta vuelo teléfono telefono tel extensión identificador`),
		genderOf: func(word string) gender {
			switch {
			case ending(word, "ema emas día días mapa"):
				return masc
			case ending(word, "a as ión iones dad dades noche noches vez veces"):
				return fem
			case ending(word, "o os e es l r n s") && len(word) > 3:
				return masc
			}
			return counting
		},
		short: table(`
			sr = señor
			sra = señora
			srta = señorita
			sres = señores
			dr = doctor
			dra = doctora
			prof = profesor
			d =
			dña = doña
			ud = usted
			uds = ustedes
			vd = usted
			etc = etcétera
			p.ej = por ejemplo
			ej = ejemplo
			aprox = aproximadamente
			avda av = avenida
			pza = plaza
			núm num nº no = número
			tel tfno = teléfono
			máx max = máximo
			mín min = mínimo
			pág = página
			art = artículo
			ene = enero
			feb = febrero
			abr = abril
			jun = junio
			jul = julio
			ago = agosto
			sept sep = septiembre
			oct = octubre
			nov = noviembre
			dic = diciembre
			ee.uu = Estados Unidos
			a.m = de la mañana
			p.m = de la tarde
			lun = lunes
			mié = miércoles
			jue = jueves
			vie = viernes
			sáb = sábado
			dom = domingo
			dpto depto = departamento
			st =
			sta = santa
			sto = santo`),
	}
	l.months, l.monthNames = months(`enero ene, febrero feb, marzo, abril abr, mayo, junio jun, julio jul, agosto ago,
		septiembre setiembre sept sep, octubre oct, noviembre nov, diciembre dic`)
	return l
}

// spanishOf: Mexico and its neighbours write 1,250.50, and $ means their peso.
func spanishOf(l *language, rest string) {
	if !within(rest, "mx us pr gt hn ni pa do sv 419") {
		return
	}
	l.decimal, l.group, l.point = '.', ',', "punto"
	if within(rest, "mx") {
		currencies := make(map[string]money, len(l.currencies))
		for k, m := range l.currencies {
			currencies[k] = m
		}
		currencies["$"] = currencies["MXN"]
		l.currencies = currencies
	}
}

var (
	spanishOnes = strings.Fields(`cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince
		dieciséis diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis
		veintisiete veintiocho veintinueve`)
	spanishTens     = strings.Fields("- - - treinta cuarenta cincuenta sesenta setenta ochenta noventa")
	spanishHundreds = strings.Fields(`- ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos
		novecientos`)
)

func spanishNumber(n uint64, g gender) string {
	var parts []string
	if k := n / 1e12; k > 0 {
		parts = append(parts, spanishMillions(k, "billón", "billones"))
		n %= 1e12
	}
	if k := n / 1e6; k > 0 {
		parts = append(parts, spanishMillions(k, "millón", "millones"))
		n %= 1e6
	}
	if k := n / 1000; k == 1 {
		parts = append(parts, "mil")
	} else if k > 1 {
		before := masc
		if g == fem {
			before = fem
		}
		parts = append(parts, spanishThree(k, before)+" mil")
	}
	if n %= 1000; n > 0 || len(parts) == 0 {
		parts = append(parts, spanishThree(n, g))
	}
	return strings.Join(parts, " ")
}

func spanishMillions(k uint64, one, many string) string {
	if k == 1 {
		return "un " + one
	}
	return spanishNumber(k, masc) + " " + many
}

func spanishThree(n uint64, g gender) string {
	if n == 100 {
		return "cien"
	}
	out := ""
	if n > 100 {
		out = spanishHundreds[n/100]
		if g == fem && n >= 200 {
			out = out[:len(out)-2] + "as"
		}
		if n %= 100; n == 0 {
			return out
		}
		out += " "
	}
	switch {
	case n%10 == 1 && n != 11 && g != counting:
		one := map[gender]string{masc: "un", fem: "una"}[g]
		switch {
		case n == 21 && g == masc:
			return out + "veintiún"
		case n == 21:
			return out + "veintiuna"
		case n > 30:
			return out + spanishTens[n/10] + " y " + one
		}
		return out + one
	case n < 30:
		return out + spanishOnes[n]
	case n%10 == 0:
		return out + spanishTens[n/10]
	}
	return out + spanishTens[n/10] + " y " + spanishOnes[n%10]
}

var (
	spanishNth = strings.Fields(`- primero segundo tercero cuarto quinto sexto séptimo octavo noveno décimo undécimo duodécimo
		decimotercero decimocuarto decimoquinto decimosexto decimoséptimo decimoctavo decimonoveno`)
	spanishNthTen = strings.Fields(`- - vigésimo trigésimo cuadragésimo quincuagésimo sexagésimo septuagésimo octogésimo
		nonagésimo`)
)

func spanishOrdinal(n uint64, g gender) string {
	if n == 0 || n > 99 {
		return spanishNumber(n, g)
	}
	var words []string
	if n < 20 {
		words = []string{spanishNth[n]}
	} else {
		words = []string{spanishNthTen[n/10]}
		if n%10 > 0 {
			words = append(words, spanishNth[n%10])
		}
	}
	for i, w := range words {
		if g == fem {
			words[i] = w[:len(w)-1] + "a"
		}
	}
	return strings.Join(words, " ")
}
