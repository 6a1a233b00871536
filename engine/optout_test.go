package engine

import "testing"

// D-24: who asks not to be called again is not called again.
func TestOptOut(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"Stop calling me.", "please stop calling me", "Would you please stop calling this number!", "Quit calling here.", "Stop calling.",
		"Take me off your list.", "Can you take me off of your calling list please?", "I said take my number off that list",
		"Remove me from your database.", "please remove my number from your list", "I want to be removed from your list",
		"Do not call again.", "Don't call me again, please.", "do not ever call me again", "Never call me again!", "dont call me anymore",
		"Please don't call here any more.", "Don't call me.", "Hey, don't call me, thanks", "Do not contact me again", "Don't call me back.",
		"Put me on your do not call list.", "Add my number to the do-not-call list", "I'm on the national do not call registry",
		"I want to opt out.", "Opt me out of this", "how do I opt out?", "Unsubscribe me.", "unsubscribe please",
		"I don't want any more calls.", "We don't want any calls from you", "I don't want to be called again", "No more calls please",
		"I do not want to receive these calls", "I don't want you to call me anymore", "Lose my number.", "I revoke my consent", "Just leave me alone.",
		"I told you before, don't call me again.", "This is the third time. Stop calling us!", "No. No thank you. Don't ever call this number again.",

		"Rufen Sie mich nicht mehr an!", "Bitte rufen Sie hier nicht mehr an.", "Rufen Sie mich bitte nie wieder an", "Ruf mich nicht mehr an",
		"Ich möchte nicht mehr angerufen werden.", "Sie sollen mich nicht mehr anrufen", "Streichen Sie mich von Ihrer Liste.",
		"Nehmen Sie meine Nummer bitte aus Ihrer Liste", "Löschen Sie meine Nummer!", "Löschen Sie bitte meine Daten", "Ich will keine Anrufe mehr",
		"Hören Sie auf, mich anzurufen!", "Lassen Sie mich in Ruhe.", "Ich widerrufe meine Einwilligung.", "Ich stehe auf der Robinsonliste.",
		"Ich möchte von Ihnen keine Anrufe", "Setzen Sie mich auf die Sperrliste",

		"Ne m'appelez plus.", "Ne m’appelez plus jamais !", "Merci de ne plus m'appeler", "Arrêtez de m'appeler", "Arrêtez de me téléphoner !",
		"Ne nous appelez plus", "Retirez-moi de votre liste.", "Supprimez mon numéro de vos fichiers", "Je ne veux plus être appelé",
		"Je ne souhaite plus être contactée", "Je ne veux plus recevoir d'appels", "Laissez-moi tranquille.", "Je suis inscrit sur Bloctel",
		"Pouvez-vous me retirer de votre liste ?", "Ne me rappelez plus", "Je souhaite ne plus être dérangé",

		"No me llame más.", "No me llamen más, por favor", "No vuelva a llamarme", "no me vuelvan a llamar", "Deje de llamarme", "Dejen de molestar",
		"Quíteme de su lista.", "Bórrenme de la lista por favor", "Elimine mi número de su base de datos", "No quiero más llamadas",
		"No quiero que me llamen", "Estoy en la lista Robinson", "Déjeme en paz", "No me llame", "No quiero recibir más llamadas",

		"Non mi chiami più.", "Non chiamatemi mai più!", "Non chiamate più", "Smettetela di chiamarmi", "Basta chiamarmi", "Mi tolga dalla lista",
		"Toglietemi dal vostro elenco", "Cancelli il mio numero", "Non voglio più essere chiamato", "Non voglio più ricevere telefonate",
		"Sono iscritto al registro delle opposizioni", "Mi lasci in pace",

		"Bel me niet meer.", "Belt u mij alstublieft niet meer", "U mag me niet meer bellen", "Stop met bellen", "Hou op met mij te bellen",
		"Haal mij van uw lijst.", "Verwijder mijn nummer uit uw bestand", "Ik wil niet meer gebeld worden", "Ik sta in het bel-me-niet-register",
		"Laat me met rust", "Bel nooit meer",

		"Não me ligue mais.", "Não me liguem mais, por favor", "Pare de me ligar", "Parem de ligar", "Não volte a ligar", "Me tire da lista",
		"Tire o meu número da sua lista", "Retire-me da vossa lista", "Não quero mais receber ligações", "Não quero que me liguem",
		"Nunca mais me liguem", "Deixe-me em paz", "Não quero mais ser contactado",
	} {
		if !OptOut(text) {
			t.Errorf("%q does not count", text)
		}
	}
	for _, text := range []string{
		"", "stop", "Stop, I did not get that.", "Stop for a moment please", "Hold on, stop", "I did not get that, can you stop and repeat?",
		"Don't call me again today, call tomorrow.", "Do not call again before noon", "don't call me now, I'm driving", "Call me again next week",
		"Please call me back", "Can you call again?", "You don't have to call me back if it's too late", "Don't call me sir", "don't call me crazy but I like it",
		"I don't call them anymore", "Why did you stop calling me?", "They never call me back in time", "If I do not call again by Friday, cancel it",
		"Don't stop calling me", "I was waiting for your call", "Put me on the list", "Take me off hold", "What's on your list?", "Remove that from my order",
		"Will I lose my number?", "I don't want to lose my number when I switch", "How do I delete my number from the app?", "I don't want any more sugar",
		"I'm calling about the bus stop", "who is calling?", "stop the music", "I can't stop calling it that", "my kids won't leave me alone",
		"opt out of the premium plan", "no more", "I call you again", "My number is on the invoice", "Do not disturb is off", "What list is that?",
		"I never call anyone", "Did you take me off the route list?",

		"Rufen Sie mich heute nicht mehr an, morgen passt es.", "Rufen Sie mich bitte zurück", "Ich kann nicht mehr", "Ich möchte keine Anrufe verpassen",
		"Bitte nicht vor zehn Uhr wieder anrufen", "Moment, stopp, das habe ich nicht verstanden", "Können Sie später wieder anrufen?",
		"Was steht auf Ihrer Liste?", "Löschen Sie den Termin", "Ich rufe nicht mehr an", "Ich habe das nicht mehr auf der Liste",

		"Rappelez-moi plus tard", "Ne m'appelez plus avant dix heures", "Je ne veux plus de café", "Arrêtez, je n'ai pas compris", "Je vous appelle plus tard",
		"Retirez cet article de ma commande", "Laissez-moi un instant", "Pourquoi ne m'appelez-vous plus ?",

		"Llámeme más tarde", "No me llame ahora, llame mañana", "No quiero más azúcar", "Pare, no le entiendo", "Quite ese producto de la lista de compra",
		"Deje un mensaje",

		"Mi chiami più tardi", "Non mi chiami prima delle dieci", "Non capisco più", "Basta così", "Non ho più chiamato",

		"Bel me later terug", "Bel me vandaag niet meer", "Stop, ik begrijp het niet", "Ik bel u niet meer voor morgen", "Ik heb het niet meer",

		"Me ligue mais tarde", "Não me ligue hoje", "Não quero mais café", "Pare, não entendi", "Ligue-me de novo amanhã",
	} {
		if OptOut(text) {
			t.Errorf("%q counts", text)
		}
	}
}

// FuzzOptOut: whatever was heard, it ends, and it is the same without accents or case.
func FuzzOptOut(f *testing.F) {
	for _, s := range []string{"Stop calling me!", "ne m'appelez plus", "don't do not", "* $ ?", "quíteme de su lista"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, text string) { OptOut(text) })
}
