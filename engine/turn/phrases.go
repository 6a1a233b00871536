package turn

import (
	"maps"
	"slices"
)

// phrases are what the engine says of itself in one language.
type phrases struct {
	filler, apology, goodbye, repeat, keys, tooLong string
	welcome, screening, transfer                    string
	silence                                         []string
	bridges                                         []string          // at the start of a wait
	waits                                           []string          // later in it
	failed                                          map[string]string // transfers, by what became of them
}

// spoken holds the engine's own phrases by primary language subtag. Each list
// of bridging sentences is long enough for a call of many slow tools: none is
// said twice.
var spoken = map[string]phrases{
	"en": {
		filler: "One moment, please.", goodbye: "Goodbye.",
		apology:   "I am sorry, something went wrong on my side. Could you say that again?",
		repeat:    "Sorry, I did not understand that. Could you say it again?",
		keys:      "Please use the keys of your telephone.",
		tooLong:   "Sorry to interrupt, let me make sure I follow.",
		welcome:   "Welcome back.",
		screening: "This is a call for the owner of this number. Please put me through.",
		transfer:  "I could not put you through. How else can I help?",
		failed: map[string]string{
			"busy":       "The line is busy just now. How else can I help?",
			"no_answer":  "Nobody is answering there just now. How else can I help?",
			"declined":   "They cannot take your call just now. How else can I help?",
			"bad_number": "That number cannot be reached. How else can I help?",
			"congestion": "I cannot get a line just now. How else can I help?",
		},
		silence: []string{"Are you still there?", "I cannot hear you. Are you still there?"},
		bridges: []string{
			"One moment, please.", "Just a second.", "Let me check that for you.", "Give me a moment.", "Let me have a look.",
			"I am looking that up.", "Bear with me for a second.", "I will check that right away.", "Let me see.",
			"Let me find that for you.",
		},
		waits: []string{
			"I am still on it.", "This takes a little longer than usual.", "Thank you for waiting, I am almost there.",
			"One more moment, please.", "I am still waiting for the answer.", "Thank you for your patience.",
			"It should not be much longer.", "I am still checking.", "Please stay on the line.", "It is still loading.",
		},
	},
	"de": {
		filler: "Einen Moment, bitte.", goodbye: "Auf Wiederhören.",
		apology:   "Entschuldigung, bei mir ist etwas schiefgegangen. Könnten Sie das bitte wiederholen?",
		repeat:    "Das habe ich leider nicht verstanden. Könnten Sie es noch einmal sagen?",
		keys:      "Bitte benutzen Sie die Tasten Ihres Telefons.",
		tooLong:   "Entschuldigen Sie die Unterbrechung, ich möchte sichergehen, dass ich Sie richtig verstehe.",
		welcome:   "Willkommen zurück.",
		screening: "Dies ist ein Anruf für den Inhaber dieser Nummer. Bitte stellen Sie mich durch.",
		transfer:  "Ich konnte Sie leider nicht verbinden. Wie kann ich sonst helfen?",
		failed: map[string]string{
			"busy":       "Dort ist gerade besetzt. Wie kann ich sonst helfen?",
			"no_answer":  "Dort meldet sich gerade niemand. Wie kann ich sonst helfen?",
			"declined":   "Ihr Anruf kann dort gerade nicht angenommen werden. Wie kann ich sonst helfen?",
			"bad_number": "Diese Nummer ist nicht erreichbar. Wie kann ich sonst helfen?",
			"congestion": "Ich bekomme gerade keine Leitung. Wie kann ich sonst helfen?",
		},
		silence: []string{"Sind Sie noch da?", "Ich kann Sie nicht hören. Sind Sie noch da?"},
		bridges: []string{
			"Einen Moment, bitte.", "Eine Sekunde.", "Ich sehe kurz nach.", "Das prüfe ich gleich für Sie.",
			"Lassen Sie mich kurz nachsehen.", "Ich schaue mal nach.", "Einen kleinen Augenblick.", "Das haben wir gleich.",
			"Ich suche das für Sie heraus.", "Geben Sie mir einen Moment.",
		},
		waits: []string{
			"Ich bin noch dabei.", "Das dauert heute etwas länger.", "Danke fürs Warten, gleich habe ich es.",
			"Noch einen Moment, bitte.", "Ich warte noch auf die Antwort.", "Danke für Ihre Geduld.",
			"Es dauert nicht mehr lange.", "Ich prüfe es noch.", "Bitte bleiben Sie dran.", "Es lädt noch.",
		},
	},
	"fr": {
		filler: "Un instant, s'il vous plaît.", goodbye: "Au revoir.",
		apology:   "Je suis désolé, il y a eu un problème de mon côté. Pouvez-vous répéter ?",
		repeat:    "Pardon, je n'ai pas compris. Pouvez-vous répéter ?",
		keys:      "Veuillez utiliser les touches de votre téléphone.",
		tooLong:   "Pardon de vous interrompre, je veux être sûr de bien comprendre.",
		welcome:   "Vous revoilà.",
		screening: "C'est un appel pour le titulaire de ce numéro. Merci de me le passer.",
		transfer:  "Je n'ai pas pu vous transférer. Comment puis-je vous aider autrement ?",
		failed: map[string]string{
			"busy":       "La ligne est occupée. Comment puis-je vous aider autrement ?",
			"no_answer":  "Personne ne répond pour le moment. Comment puis-je vous aider autrement ?",
			"declined":   "Votre appel ne peut pas être pris pour le moment. Comment puis-je vous aider autrement ?",
			"bad_number": "Ce numéro n'est pas joignable. Comment puis-je vous aider autrement ?",
			"congestion": "Je n'obtiens pas de ligne pour le moment. Comment puis-je vous aider autrement ?",
		},
		silence: []string{"Vous êtes toujours là ?", "Je ne vous entends pas. Vous êtes toujours là ?"},
		bridges: []string{
			"Un instant, s'il vous plaît.", "Une petite seconde.", "Je regarde tout de suite.", "Laissez-moi vérifier.",
			"Je vérifie cela pour vous.", "Donnez-moi un instant.", "Je cherche cela.", "Je consulte votre dossier.",
			"Voyons cela.", "Je m'en occupe tout de suite.",
		},
		waits: []string{
			"Je suis toujours dessus.", "Cela prend un peu plus de temps que prévu.", "Merci de patienter, j'y suis presque.",
			"Encore un instant, s'il vous plaît.", "J'attends toujours la réponse.", "Merci de votre patience.",
			"Ce ne sera plus très long.", "Je vérifie encore.", "Restez en ligne, s'il vous plaît.", "Cela charge encore.",
		},
	},
	"es": {
		filler: "Un momento, por favor.", goodbye: "Adiós.",
		apology:   "Lo siento, ha habido un problema por mi parte. ¿Podría repetirlo?",
		repeat:    "Perdone, no le he entendido. ¿Podría repetirlo?",
		keys:      "Por favor, use las teclas de su teléfono.",
		tooLong:   "Disculpe que le interrumpa, quiero asegurarme de que le entiendo.",
		welcome:   "Bienvenido de nuevo.",
		screening: "Es una llamada para el titular de este número. Páseme con él, por favor.",
		transfer:  "No he podido pasarle. ¿En qué más puedo ayudarle?",
		failed: map[string]string{
			"busy":       "La línea está ocupada. ¿En qué más puedo ayudarle?",
			"no_answer":  "Ahora no contesta nadie. ¿En qué más puedo ayudarle?",
			"declined":   "Ahora no pueden atender su llamada. ¿En qué más puedo ayudarle?",
			"bad_number": "Ese número no está disponible. ¿En qué más puedo ayudarle?",
			"congestion": "Ahora no consigo línea. ¿En qué más puedo ayudarle?",
		},
		silence: []string{"¿Sigue ahí?", "No le oigo. ¿Sigue ahí?"},
		bridges: []string{
			"Un momento, por favor.", "Un segundo.", "Déjeme comprobarlo.", "Lo miro ahora mismo.", "Voy a consultarlo.",
			"Deme un momento.", "Lo estoy buscando.", "Enseguida lo compruebo.", "Vamos a ver.", "Se lo busco ahora.",
		},
		waits: []string{
			"Sigo en ello.", "Está tardando un poco más de lo normal.", "Gracias por esperar, ya casi está.",
			"Un momento más, por favor.", "Todavía espero la respuesta.", "Gracias por su paciencia.",
			"Ya no falta mucho.", "Lo sigo comprobando.", "No cuelgue, por favor.", "Todavía está cargando.",
		},
	},
	"it": {
		filler: "Un momento, per favore.", goodbye: "Arrivederci.",
		apology:   "Mi dispiace, c'è stato un problema da parte mia. Può ripetere?",
		repeat:    "Mi scusi, non ho capito. Può ripetere?",
		keys:      "Usi i tasti del telefono, per favore.",
		tooLong:   "Scusi se la interrompo, voglio essere sicuro di aver capito.",
		welcome:   "Bentornato.",
		screening: "È una chiamata per il titolare di questo numero. Me lo passi, per favore.",
		transfer:  "Non sono riuscito a trasferirla. Come posso aiutarla altrimenti?",
		failed: map[string]string{
			"busy":       "La linea è occupata. Come posso aiutarla altrimenti?",
			"no_answer":  "In questo momento non risponde nessuno. Come posso aiutarla altrimenti?",
			"declined":   "In questo momento non possono rispondere. Come posso aiutarla altrimenti?",
			"bad_number": "Quel numero non è raggiungibile. Come posso aiutarla altrimenti?",
			"congestion": "In questo momento non trovo una linea libera. Come posso aiutarla altrimenti?",
		},
		silence: []string{"È ancora in linea?", "Non la sento. È ancora in linea?"},
		bridges: []string{
			"Un momento, per favore.", "Un secondo.", "Controllo subito.", "Mi lasci verificare.", "Vado a vedere.",
			"Mi dia un attimo.", "Lo sto cercando.", "Verifico per lei.", "Vediamo.", "Me ne occupo subito.",
		},
		waits: []string{
			"Ci sto ancora lavorando.", "Ci vuole un po' più del solito.", "Grazie per l'attesa, ci sono quasi.",
			"Ancora un momento, per favore.", "Aspetto ancora la risposta.", "Grazie per la pazienza.",
			"Non manca molto.", "Sto ancora controllando.", "Resti in linea, per favore.", "Sta ancora caricando.",
		},
	},
	"nl": {
		filler: "Een moment, alstublieft.", goodbye: "Tot ziens.",
		apology:   "Sorry, er ging iets mis aan mijn kant. Kunt u dat herhalen?",
		repeat:    "Sorry, dat heb ik niet verstaan. Kunt u het nog eens zeggen?",
		keys:      "Gebruik alstublieft de toetsen van uw telefoon.",
		tooLong:   "Sorry dat ik onderbreek, ik wil zeker weten dat ik u goed begrijp.",
		welcome:   "Fijn dat u er weer bent.",
		screening: "Dit is een gesprek voor de eigenaar van dit nummer. Verbind me alstublieft door.",
		transfer:  "Ik kon u niet doorverbinden. Hoe kan ik u anders helpen?",
		failed: map[string]string{
			"busy":       "De lijn is bezet. Hoe kan ik u anders helpen?",
			"no_answer":  "Er neemt op dit moment niemand op. Hoe kan ik u anders helpen?",
			"declined":   "Uw gesprek kan nu niet worden aangenomen. Hoe kan ik u anders helpen?",
			"bad_number": "Dat nummer is niet bereikbaar. Hoe kan ik u anders helpen?",
			"congestion": "Ik krijg nu geen lijn. Hoe kan ik u anders helpen?",
		},
		silence: []string{"Bent u er nog?", "Ik hoor u niet. Bent u er nog?"},
		bridges: []string{
			"Een moment, alstublieft.", "Een ogenblikje.", "Ik kijk het even na.", "Ik zoek het voor u op.",
			"Even kijken.", "Geef me een momentje.", "Ik controleer het meteen.", "Dat zoek ik even uit.",
			"Ik ga het voor u na.", "Een seconde.",
		},
		waits: []string{
			"Ik ben er nog mee bezig.", "Het duurt iets langer dan normaal.", "Bedankt voor het wachten, ik ben er bijna.",
			"Nog een moment, alstublieft.", "Ik wacht nog op het antwoord.", "Bedankt voor uw geduld.",
			"Het duurt niet lang meer.", "Ik ben het nog aan het nakijken.", "Blijf aan de lijn, alstublieft.",
			"Het is nog aan het laden.",
		},
	},
	"pt": {
		filler: "Um momento, por favor.", goodbye: "Até logo.",
		apology:   "Desculpe, houve um problema do meu lado. Pode repetir?",
		repeat:    "Desculpe, não entendi. Pode repetir?",
		keys:      "Por favor, use as teclas do seu telefone.",
		tooLong:   "Desculpe interromper, quero ter certeza de que entendi.",
		welcome:   "Bem-vindo de volta.",
		screening: "É uma chamada para o titular deste número. Passe-me, por favor.",
		transfer:  "Não consegui transferir a chamada. Como mais posso ajudar?",
		failed: map[string]string{
			"busy":       "A linha está ocupada. Como mais posso ajudar?",
			"no_answer":  "Ninguém atende neste momento. Como mais posso ajudar?",
			"declined":   "Não podem atender a sua chamada agora. Como mais posso ajudar?",
			"bad_number": "Esse número não está acessível. Como mais posso ajudar?",
			"congestion": "Não consigo linha neste momento. Como mais posso ajudar?",
		},
		silence: []string{"Ainda está aí?", "Não consigo ouvi-lo. Ainda está aí?"},
		bridges: []string{
			"Um momento, por favor.", "Só um segundo.", "Vou verificar.", "Deixe-me ver.", "Já vou consultar.",
			"Dê-me um momento.", "Estou a procurar.", "Verifico já.", "Vamos ver isso.", "Trato disso já.",
		},
		waits: []string{
			"Ainda estou a tratar disso.", "Está a demorar um pouco mais do que o habitual.",
			"Obrigado por esperar, está quase.", "Só mais um momento, por favor.", "Ainda espero a resposta.",
			"Obrigado pela sua paciência.", "Já não falta muito.", "Ainda estou a verificar.",
			"Não desligue, por favor.", "Ainda está a carregar.",
		},
	},
}

// phrasesOf are the engine's own phrases in a language, English ones where it
// is not known.
func phrasesOf(language string) phrases {
	if own, ok := spoken[primary(language)]; ok {
		return own
	}
	return spoken["en"]
}

// own is each sentence of the policy beside that of a language, and each list.
func (p *Policy) own(said phrases) (map[*string]string, map[*[]string][]string) {
	one := map[*string]string{
		&p.FillerPhrase: said.filler, &p.ApologyPhrase: said.apology, &p.GoodbyePhrase: said.goodbye,
		&p.RepeatPhrase: said.repeat, &p.KeysPhrase: said.keys, &p.TooLongPhrase: said.tooLong,
		&p.WelcomePhrase: said.welcome, &p.ScreeningPhrase: said.screening, &p.TransferPhrase: said.transfer,
	}
	several := map[*[]string][]string{
		&p.SilencePhrases: said.silence, &p.BridgePhrases: said.bridges, &p.WaitPhrases: said.waits,
	}
	return one, several
}

// fillPhrases puts in what the engine says of itself where the agent has no
// words for it, in the agent's language.
func (p *Policy) fillPhrases() {
	texts, lists := p.own(phrasesOf(p.Language))
	for field, text := range texts {
		if *field == "" {
			*field = text
		}
	}
	for field, list := range lists {
		if len(*field) == 0 {
			*field = list
		}
	}
	p.Keys = p.Keys.withDefaults(p)
}

// forgetPhrases takes out what came from the policy's language.
func (p *Policy) forgetPhrases() {
	said := phrasesOf(p.Language)
	texts, lists := p.own(said)
	for field, text := range texts {
		if *field == text {
			*field = ""
		}
	}
	for field, list := range lists {
		if slices.Equal(*field, list) {
			*field = nil
		}
	}
	if p.Keys.Reprompt == said.keys {
		p.Keys.Reprompt = ""
	}
}

// TransferLines are the sentences with which a caller may be welcomed back from a
// transfer: within a second of its end, so they are best spoken beforehand (conv:H9).
func (p *Policy) TransferLines() []string {
	out := []string{p.WelcomePhrase, p.TransferPhrase}
	if said := phrasesOf(p.Language); p.TransferPhrase == said.transfer {
		out = slices.AppendSeq(out, maps.Values(said.failed))
	}
	return out
}

// transferLine tells of a transfer that came to nothing: the agent's own line
// where it has one, else what became of it.
func (p *Policy) transferLine(reason string) string {
	said := phrasesOf(p.Language)
	if reason == "voicemail" {
		reason = "no_answer"
	}
	if own := said.failed[reason]; own != "" && p.TransferPhrase == said.transfer {
		return own
	}
	return p.TransferPhrase
}
