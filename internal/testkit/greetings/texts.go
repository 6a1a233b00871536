package greetings

// texts are the templates of a language.
type texts struct {
	name                   string
	hello, named, company  []string // people
	reached, away, message []string // a person's own mailbox, in this order
	carrier, screening     []string
	names, firms           []string
}

var languages = []*texts{
	{
		name:      "en",
		hello:     []string{"Hello?", "Yes?", "Hello.", "Hi.", "Hey, what's up?", "Yeah?", "Good morning.", "Yello?"},
		named:     []string{"NAME speaking.", "Hello, this is NAME.", "NAME here.", "Hi, it's NAME."},
		company:   []string{"FIRM, good morning, NAME speaking. How can I help you?", "Thank you for calling FIRM. This is NAME, how may I help?", "FIRM, NAME on the line.", "Good afternoon, FIRM, what can I do for you?"},
		reached:   []string{"Hi, you've reached NAME.", "Hi, this is NAME.", "You have reached the phone of NAME.", "Hey, it's NAME."},
		away:      []string{"I can't come to the phone right now.", "I'm not available at the moment.", "I'm probably in a meeting.", "Sorry I missed you."},
		message:   []string{"Please leave a message after the tone and I'll call you back.", "Leave your name and number and I'll get back to you as soon as I can.", "Leave a message after the beep.", "You know what to do. Wait for the beep."},
		carrier:   []string{"Your call has been forwarded to an automatic voice message system. The person you are trying to reach is not available. At the tone, please record your message.", "The person you are calling is unavailable. Please leave your message after the tone. When finished, hang up or press one for more options.", "Welcome to the voicemail of. Nobody can take your call. Leave a message after the beep."},
		screening: []string{"Hi, if you record your name and reason for calling, I'll see if this person is available.", "The person you're calling is using a screening service. Go ahead and say your name and why you're calling."},
		names:     []string{"Anna", "Bob Miller", "Doctor Chen", "Sarah"}, firms: []string{"Miller and Sons", "City Dental", "Acme Plumbing"},
	},
	{
		name:      "de",
		hello:     []string{"Hallo?", "Ja?", "Ja bitte?", "Hallo.", "Guten Tag.", "Moin."},
		named:     []string{"NAME.", "NAME am Apparat.", "Ja, hier ist NAME.", "Hallo, NAME hier."},
		company:   []string{"Firma FIRM, guten Tag, Sie sprechen mit NAME. Was kann ich für Sie tun?", "FIRM, NAME, guten Morgen.", "FIRM, mein Name ist NAME. Wie kann ich Ihnen helfen?"},
		reached:   []string{"Hallo, hier ist der Anschluss von NAME.", "Sie sind verbunden mit der Mailbox von NAME.", "Guten Tag, hier ist NAME.", "Hi, hier ist NAME."},
		away:      []string{"Leider bin ich momentan nicht zu erreichen.", "Ich kann gerade nicht ans Telefon gehen.", "Ich bin zurzeit persönlich nicht erreichbar."},
		message:   []string{"Hinterlassen Sie mir eine Nachricht nach dem Signalton.", "Bitte sprechen Sie nach dem Piepton, ich rufe Sie zurück.", "Nach dem Ton können Sie eine Nachricht hinterlassen."},
		carrier:   []string{"Der gewünschte Gesprächspartner ist zurzeit nicht erreichbar. Bitte hinterlassen Sie eine Nachricht nach dem Signalton.", "Hier ist die Mailbox von. Bitte sprechen Sie nach dem Ton.", "Dies ist der Anrufbeantworter der Nummer. Sie können nach dem Signalton eine Nachricht hinterlassen."},
		screening: []string{"Hallo, bitte nennen Sie Ihren Namen und den Grund Ihres Anrufs.", "Sagen Sie Ihren Namen und warum Sie anrufen, ich frage nach."},
		names:     []string{"Müller", "Frau Schmidt", "Jonas Weber", "Doktor Klein"}, firms: []string{"Weber Elektrotechnik", "Praxis Doktor Klein", "Autohaus Nord"},
	},
	{
		name:      "fr",
		hello:     []string{"Allô ?", "Oui ?", "Oui allô ?", "Bonjour.", "Allô oui."},
		named:     []string{"NAME à l'appareil.", "Oui, NAME, bonjour.", "Allô, c'est NAME."},
		company:   []string{"FIRM, bonjour. NAME à votre service, que puis-je faire pour vous ?", "FIRM bonjour, je vous écoute.", "Cabinet FIRM, NAME, bonjour."},
		reached:   []string{"Bonjour, vous êtes bien sur le répondeur de NAME.", "Bonjour, vous êtes bien chez NAME.", "Salut, c'est NAME."},
		away:      []string{"Je ne suis pas disponible pour le moment.", "Je ne peux pas vous répondre.", "Je suis absent jusqu'à lundi."},
		message:   []string{"Laissez-moi un message après le bip.", "Merci de laisser un message après le signal sonore, je vous rappellerai dès que possible.", "Laissez votre message et votre numéro."},
		carrier:   []string{"Votre correspondant n'est pas disponible. Veuillez laisser un message après le signal sonore.", "Bienvenue sur la messagerie vocale de. Laissez un message après le bip."},
		screening: []string{"Bonjour, dites votre nom et le motif de votre appel.", "Indiquez votre nom et la raison de votre appel, je vérifie si la personne est là."},
		names:     []string{"Martin", "Claire Dubois", "Monsieur Petit"}, firms: []string{"Garage du Centre", "Dubois", "Pharmacie Petit"},
	},
	{
		name:      "es",
		hello:     []string{"¿Diga?", "¿Sí?", "Hola.", "¿Bueno?", "¿Aló?", "Dígame."},
		named:     []string{"Sí, soy NAME.", "NAME, dígame.", "Hola, habla NAME."},
		company:   []string{"FIRM, buenos días, le atiende NAME. ¿En qué puedo ayudarle?", "FIRM, buenas tardes, dígame.", "FIRM, habla NAME. ¿De parte de quién?"},
		reached:   []string{"Hola, soy NAME.", "Ha llamado a NAME.", "Este es el buzón de voz de NAME."},
		away:      []string{"Ahora no puedo atender su llamada.", "En este momento no puedo contestar.", "No estoy en casa."},
		message:   []string{"Deje un mensaje después de la señal.", "Deja tu mensaje y te llamaré lo antes posible.", "Después del tono puede dejar un mensaje."},
		carrier:   []string{"El teléfono al que llama no está disponible. Deje su mensaje después de oír la señal.", "Bienvenido al buzón de voz. Grabe su mensaje después del tono."},
		screening: []string{"Hola, diga su nombre y el motivo de su llamada.", "Antes de pasarle, diga su nombre, por favor."},
		names:     []string{"María", "Juan Pérez", "la señora López"}, firms: []string{"Talleres Pérez", "Clínica Sol", "Panadería López"},
	},
	{
		name:      "it",
		hello:     []string{"Pronto?", "Sì?", "Pronto, chi parla?", "Sì, pronto.", "Buongiorno."},
		named:     []string{"Pronto, sono NAME.", "NAME, buongiorno.", "Sì, NAME."},
		company:   []string{"FIRM, buongiorno, sono NAME. Come posso aiutarla?", "FIRM, buonasera, mi dica.", "Studio FIRM, parla NAME."},
		reached:   []string{"Ciao, sono NAME.", "Risponde la segreteria telefonica di NAME.", "Risponde il numero di NAME."},
		away:      []string{"In questo momento non posso rispondere.", "Non sono raggiungibile.", "Al momento sono fuori."},
		message:   []string{"Lasciate un messaggio dopo il segnale acustico.", "Lascia un messaggio dopo il bip e ti richiamerò.", "Dopo il segnale lasci un messaggio, richiamerò al più presto."},
		carrier:   []string{"Il cliente da lei chiamato non è al momento raggiungibile. Lasci un messaggio dopo il segnale acustico.", "Segreteria telefonica. La persona chiamata non è disponibile. Lasci un messaggio dopo il segnale."},
		screening: []string{"Salve, dica il suo nome e il motivo della chiamata.", "Dica il suo nome, per favore, vedo se può rispondere."},
		names:     []string{"Giulia", "Marco Rossi", "la signora Bianchi"}, firms: []string{"Officina Rossi", "Bianchi", "Farmacia Centrale"},
	},
	{
		name:      "nl",
		hello:     []string{"Hallo?", "Ja?", "Hallo, met mij.", "Goedemorgen."},
		named:     []string{"Met NAME.", "Hallo, met NAME.", "NAME hier."},
		company:   []string{"Goedemorgen, FIRM, u spreekt met NAME. Waarmee kan ik u helpen?", "FIRM, met NAME.", "FIRM, goedemiddag, wat kan ik voor u doen?"},
		reached:   []string{"Hoi, dit is de voicemail van NAME.", "U bent verbonden met NAME.", "Hallo, dit is NAME."},
		away:      []string{"Ik kan nu de telefoon niet opnemen.", "Ik ben op dit moment niet bereikbaar.", "Ik ben er even niet."},
		message:   []string{"Spreek een bericht in na de toon.", "Laat een bericht achter na de piep, dan bel ik u terug.", "Spreek iets in, dan bel ik je zo snel mogelijk terug."},
		carrier:   []string{"De persoon die u belt is niet beschikbaar. Spreek uw bericht in na de toon.", "Welkom bij de voicemail van. Spreek een bericht in na de piep."},
		screening: []string{"Hallo, zeg uw naam en de reden van uw gesprek.", "Zeg uw naam, dan kijk ik of er iemand is."},
		names:     []string{"Jan", "Sanne de Vries", "meneer Bakker"}, firms: []string{"Bakker Installaties", "De Vries", "Tandarts Smit"},
	},
	{
		name:      "pt",
		hello:     []string{"Estou?", "Alô?", "Sim?", "Está lá?", "Olá.", "Bom dia."},
		named:     []string{"Sim, é NAME.", "Fala NAME.", "Estou, aqui NAME."},
		company:   []string{"FIRM, bom dia, fala NAME. Em que posso ajudar?", "FIRM, boa tarde, quem fala?", "FIRM, NAME, bom dia."},
		reached:   []string{"Olá, ligou para NAME.", "Esta é a caixa postal de NAME.", "Olá, aqui é NAME."},
		away:      []string{"Neste momento não posso atender.", "Agora não estou disponível.", "Estou numa reunião."},
		message:   []string{"Deixe uma mensagem após o sinal.", "Deixe a sua mensagem e ligo de volta assim que possível.", "Deixe o seu recado depois do sinal."},
		carrier:   []string{"A sua chamada está a ser encaminhada para o correio de voz. Deixe a sua mensagem após o sinal.", "O número para o qual ligou não está disponível. Após o sinal, deixe mensagem."},
		screening: []string{"Olá, diga o seu nome e o motivo da chamada.", "Diga o seu nome, por favor, vou ver se pode atender."},
		names:     []string{"Maria", "João Silva", "a doutora Costa"}, firms: []string{"Oficina Silva", "Clínica Costa", "Padaria Central"},
	},
}
