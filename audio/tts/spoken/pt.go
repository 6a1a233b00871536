package spoken

import "strings"

func portuguese() *language {
	l := &language{
		decimal: ',', group: '.', spaced: true, point: "vírgula", wholeDecimals: true, minus: "menos", to: "a",
		digits:   figures("zero um dois três quatro cinco seis sete oito nove"),
		cardinal: func(n uint64, g gender) string { return portugueseNumber(n, g, true) },
		ordinal:  portugueseOrdinal,
		ordinalMarks: map[string]gender{
			"º": masc, "ª": fem, "°": masc, ".º": masc, ".ª": fem, "o": masc, "a": fem,
		},
		large: nouns(`
			mil = mil
			mi M milhão milhões = milhão, milhões
			bi bilhão bilhões = bilhão, bilhões`),
		of: "de",
		currencies: currencies(`
			$ US$ USD = dólar, dólares, centavo, centavos
			R$ BRL = real, reais, centavo, centavos
			€ EUR euro euros = euro, euros, cêntimo, cêntimos
			£ GBP = libra/f, libras, péni, pence
			¥ JPY = iene, ienes, sen, sen
			CHF = franco suíço, francos suíços, cêntimo, cêntimos`),
		cents: " e ", centNames: true,
		units: nouns(`
			km = quilômetro, quilômetros
			m = metro, metros
			cm = centímetro, centímetros
			mm = milímetro, milímetros
			kg = quilo, quilos
			g = grama, gramas
			mg = miligrama, miligramas
			t = tonelada, toneladas, f
			l L = litro, litros
			ml = mililitro, mililitros
			km/h = quilômetro por hora, quilômetros por hora
			m/s = metro por segundo, metros por segundo
			°C ºC ℃ = grau Celsius, graus Celsius
			°F = grau Fahrenheit, graus Fahrenheit
			° = grau, graus
			kWh = quilowatt-hora, quilowatts-hora
			kW = quilowatt, quilowatts
			W = watt, watts
			V = volt, volts
			GB = gigabyte, gigabytes
			MB = megabyte, megabytes
			KB kB = kilobyte, kilobytes
			Mbps Mbit/s = megabit por segundo, megabits por segundo
			GHz = giga-hertz
			MHz = mega-hertz
			Hz = hertz
			m² m2 = metro quadrado, metros quadrados
			km² = quilômetro quadrado, quilômetros quadrados
			m³ m3 = metro cúbico, metros cúbicos
			min = minuto, minutos
			s seg = segundo, segundos
			ms = milissegundo, milissegundos`),
		per: "por", percent: "por cento",
		signs: map[string]string{
			"&": "e", "+": "mais", "=": "igual a", "<": "menor que", ">": "maior que", "‹": "menor que", "›": "maior que",
			"×": "vezes", "÷": "dividido por", "±": "mais ou menos", "@": "arroba", "#": "número", "§": "parágrafo",
			"½": "meio", "¼": "um quarto", "¾": "três quartos", "⅓": "um terço", "⅔": "dois terços",
			"‰": "por mil", "°": "graus", "№": "número", "≥": "pelo menos", "≤": "no máximo", "≈": "cerca de",
			"½+": "e meio", "¼+": "e um quarto", "¾+": "e três quartos", "%": "por cento",
			"$": "dólares", "€": "euros", "£": "libras", "¥": "ienes", "/": "barra",
		},
		spelled: map[byte]string{
			'@': "arroba", '.': "ponto", '-': "hífen", '_': "sublinhado", '/': "barra", '+': "mais", ':': "dois pontos",
			'#': "cardinal", '?': "ponto de interrogação", '=': "igual", '&': "e", '%': "por cento", '~': "til",
		},
		day: func(l *language, d uint64, _ string) string {
			if d == 1 {
				return "primeiro"
			}
			return l.cardinal(d, counting)
		},
		dayOf:     "de",
		year:      func(l *language, y uint64) string { return l.cardinal(y, counting) },
		yearWords: set("ano desde"),
		clock: func(l *language, h, m uint64, _ bool) string {
			out := l.cardinal(h, fem) + " horas"
			if h == 1 {
				out = "uma hora"
			}
			if m > 0 {
				out += " e " + l.cardinal(m, counting)
			}
			return out
		},
		hourMarks: map[string]bool{"h": true, "horas": true, "hora": true},
		am:        "da manhã", pm: "da tarde",
		idWords: set(`número numero nº id código codigo pin conta pedido referência referencia fatura ticket protocolo cliente
			reserva contrato cep postal rastreio cartão voo telefone tel ramal identificador nif cpf`),
		genderOf: func(word string) gender {
			switch {
			case ending(word, "ema emas dia dias mapa"):
				return masc
			case ending(word, "a as ção ções dade dades noite noites vez vezes"):
				return fem
			}
			return counting
		},
		short: table(`
			sr = senhor
			sra = senhora
			srta = senhorita
			dr = doutor
			dra = doutora
			prof = professor
			profa = professora
			eng = engenheiro
			etc = et cetera
			p.ex = por exemplo
			ex = exemplo
			aprox = aproximadamente
			av = avenida
			nº núm num = número
			tel = telefone
			máx max = máximo
			mín min = mínimo
			pág = página
			art = artigo
			jan = janeiro
			fev = fevereiro
			abr = abril
			jun = junho
			jul = julho
			ago = agosto
			set =
			out =
			nov = novembro
			dez = dezembro
			v.exa = vossa excelência
			a.m = da manhã
			p.m = da tarde
			ltda = limitada
			apto = apartamento
			dto =
			esq =
			obs = observação
			sto = santo
			sta = santa`),
	}
	l.months, l.monthNames = months(`janeiro jan, fevereiro fev, março, abril abr, maio, junho jun, julho jul, agosto ago,
		setembro set, outubro out, novembro nov, dezembro dez`)
	return l
}

// portugueseOf: what Portugal says otherwise than Brazil.
func portugueseOf(l *language, rest string) {
	if !within(rest, "pt ao mz") {
		return
	}
	l.cardinal = func(n uint64, g gender) string { return portugueseNumber(n, g, false) }
	l.day = func(l *language, d uint64, _ string) string { return l.cardinal(d, counting) }
	units := make(map[string]noun, len(l.units))
	european := strings.NewReplacer("quilôm", "quilóm")
	for k, n := range l.units {
		n.one, n.many = european.Replace(n.one), european.Replace(n.many)
		units[k] = n
	}
	l.units = units
}

var (
	portugueseOnes = strings.Fields(`zero um dois três quatro cinco seis sete oito nove dez onze doze treze catorze quinze dezesseis
		dezessete dezoito dezenove`)
	portugueseTens     = strings.Fields("- - vinte trinta quarenta cinquenta sessenta setenta oitenta noventa")
	portugueseHundreds = strings.Fields(`- cento duzentos trezentos quatrocentos quinhentos seiscentos setecentos oitocentos
		novecentos`)
	fromPortugal = strings.NewReplacer("dezesseis", "dezasseis", "dezessete", "dezassete", "dezenove", "dezanove")
)

func portugueseNumber(n uint64, g gender, brazil bool) string {
	var parts []string
	scales := []struct {
		worth     uint64
		one, many string
	}{{1e12, "trilhão", "trilhões"}, {1e9, "bilhão", "bilhões"}, {1e6, "milhão", "milhões"}}
	if !brazil { // the long scale: 10⁹ is a thousand million
		scales = scales[2:]
		if k := n / 1e12; k > 0 {
			one := "bilião"
			if k > 1 {
				one = "biliões"
			}
			parts = append(parts, portugueseNumber(k, masc, brazil)+" "+one)
			n %= 1e12
		}
	}
	for _, s := range scales {
		if k := n / s.worth; k == 1 {
			parts = append(parts, "um "+s.one)
		} else if k > 1 {
			parts = append(parts, portugueseNumber(k, masc, brazil)+" "+s.many)
		}
		n %= s.worth
	}
	if k := n / 1000; k == 1 {
		parts = append(parts, "mil")
	} else if k > 1 {
		parts = append(parts, portugueseThree(k, g)+" mil")
	}
	if n %= 1000; n > 0 || len(parts) == 0 {
		last := portugueseThree(n, g)
		if len(parts) > 0 && (n < 100 || n%100 == 0) {
			last = "e " + last
		}
		parts = append(parts, last)
	}
	out := strings.Join(parts, " ")
	if !brazil {
		out = fromPortugal.Replace(out)
	}
	return out
}

func portugueseThree(n uint64, g gender) string {
	if n == 100 {
		return "cem"
	}
	var parts []string
	if n > 100 {
		h := portugueseHundreds[n/100]
		if g == fem && n >= 200 {
			h = h[:len(h)-2] + "as"
		}
		parts = append(parts, h)
		if n %= 100; n == 0 {
			return h
		}
	}
	if n >= 20 {
		parts = append(parts, portugueseTens[n/10])
		n %= 10
	}
	if n > 0 || len(parts) == 0 {
		one := portugueseOnes[n]
		switch {
		case g == fem && n == 1:
			one = "uma"
		case g == fem && n == 2:
			one = "duas"
		}
		parts = append(parts, one)
	}
	return strings.Join(parts, " e ")
}

var (
	portugueseNth    = strings.Fields("- primeiro segundo terceiro quarto quinto sexto sétimo oitavo nono")
	portugueseNthTen = strings.Fields(`- décimo vigésimo trigésimo quadragésimo quinquagésimo sexagésimo septuagésimo octogésimo
		nonagésimo`)
)

func portugueseOrdinal(n uint64, g gender) string {
	if n == 0 || n > 99 {
		return portugueseNumber(n, g, true)
	}
	var words []string
	if n >= 10 {
		words = append(words, portugueseNthTen[n/10])
	}
	if n%10 > 0 {
		words = append(words, portugueseNth[n%10])
	}
	for i, w := range words {
		if g == fem {
			words[i] = w[:len(w)-1] + "a"
		}
	}
	return strings.Join(words, " ")
}
