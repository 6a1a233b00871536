package turn

// lexicons are the languages that are known, by their tag. Spoken digits only
// are numbers here: "four five" may go on, "forty-five" is whole.
var lexicons = map[string]*Lexicon{
	"en": english, "de": german, "fr": french, "es": spanish, "it": italian, "nl": dutch, "pt": portuguese,
}

// hums are signs of listening in every language.
const hums = ` mm mhm mmhm hm hmm mmm mh uh_huh mm_hm ah aha oh okay ok `

var english = &Lexicon{
	backchannels: wordsOf(hums + `yeah yep yes yup right sure really cool great fine good nice wow i_see got_it
		all_right alright of_course go_on makes_sense no_problem understood exactly true that's_right`),
	stops: wordsOf(`stop wait no nope hold halt pause hold_on hang_on wait_a_second wait_a_minute one_second one_moment
		just_a_second just_a_moment excuse_me be_quiet shut_up never_mind let_me_speak cut_it_out`),
	unfinished: wordsOf(`and or but because so if that which who whose when while the a an my your his her our their this
		these to of for with at in on from by about into is are was were am be it's i'm that's there's i you we he she
		they um uh er erm like well have has had want need get can could would should will do does did don't as than
		or_maybe let's let_me i_would i'd i'll number is_it`),
	short: wordsOf(`yes no yeah yep yup nope nah ok okay sure thanks thank_you bye goodbye correct right exactly hello hi
		please of_course absolutely definitely never maybe neither both none not_really not_yet no_thanks that's_it
		that's_all that's_right i_do i_don't i_am i_did it_is it_does don't_know i_don't_know fine great`),
	numbers: wordsOf(`zero oh one two three four five six seven eight nine double triple`),
	spelling: wordsOf(`dot at at_sign dash hyphen underscore slash capital as_in like_in for double_u space plus
		alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa quebec
		romeo sierra tango uniform victor whiskey x_ray yankee zulu`),
}

var german = &Lexicon{
	backchannels: wordsOf(hums + `ja jo joa genau stimmt achso ach_so gut klar schon alles_klar verstehe in_ordnung
		na_gut sehr_gut super prima richtig eben natürlich ja_ja`),
	stops: wordsOf(`stop stopp halt warte warten_sie warte_mal moment einen_moment moment_mal nein nee sekunde
		eine_sekunde entschuldigung pause aufhören hör_auf hören_sie_auf lassen_sie_mich ruhe`),
	unfinished: wordsOf(`und oder aber weil dass ob wenn als denn sondern der die das den dem des ein eine einen einem
		einer mein meine meinen dein ihr ihre unser zu von mit bei für auf in im an am um aus nach vor über ohne ist sind
		war bin hat habe haben ich wir sie er es ähm äh hm_also also möchte will kann brauche muss würde nummer mal`),
	short: wordsOf(`ja nein nö nee doch danke vielen_dank genau richtig stimmt hallo tschüss auf_wiederhören bitte gerne
		natürlich vielleicht nie keine keiner beide okay ok klar passt nein_danke ja_bitte weiß_nicht weiß_ich_nicht
		noch_nicht das_war's falsch gut`),
	numbers: wordsOf(`null eins ein_mal zwei zwo drei vier fünf sechs sieben acht neun doppel`),
	spelling: wordsOf(`punkt at bindestrich minus unterstrich strich wie groß klein leerzeichen schrägstrich
		anton berta cäsar dora emil friedrich gustav heinrich ida julius kaufmann ludwig martha nordpol otto paula quelle
		richard samuel siegfried theodor ulrich viktor wilhelm xanthippe ypsilon zacharias eszett umlaut`),
}

var french = &Lexicon{
	backchannels: wordsOf(hums + `oui ouais d'accord hein bien très_bien entendu je_vois parfait voilà exactement
		tout_à_fait bien_sûr ça_marche c'est_ça`),
	stops: wordsOf(`stop non arrête arrêtez attends attendez attends_une_seconde attendez_une_seconde une_seconde
		un_instant un_moment une_minute pardon excusez_moi taisez_vous pause minute`),
	unfinished: wordsOf(`et ou mais parce_que parce car donc que qui si quand le la les un une des du mon ma mes votre vos
		notre son sa ce cette à au aux de pour avec sans dans sur chez par en est sont suis j'ai je tu il elle nous vous
		on c'est euh heu ben alors voudrais veux peux dois numéro comme`),
	short: wordsOf(`oui non merci exact exactement d'accord bonjour allô au_revoir bien_sûr s'il_vous_plaît
		peut_être jamais aucun aucune les_deux ok okay pas_encore je_sais_pas je_ne_sais_pas non_merci c'est_ça c'est_tout
		parfait voilà si`),
	numbers: wordsOf(`zéro un deux trois quatre cinq six sept huit neuf double`),
	spelling: wordsOf(`point arobase tiret tiret_bas trait_d'union underscore slash majuscule minuscule comme espace
		accent accent_aigu accent_grave tréma cédille apostrophe deux_l deux_s`),
}

var spanish = &Lexicon{
	backchannels: wordsOf(hums + `sí si vale claro ya bueno bien muy_bien de_acuerdo entiendo perfecto exacto ajá ya_veo
		por_supuesto eso así_es`),
	stops: wordsOf(`para pare alto no espera espere espérate un_momento un_segundo momento disculpe perdón basta cállate
		pausa`),
	unfinished: wordsOf(`y e o u pero porque que si cuando como el la los las un una unos mi mis tu su sus este esta a al
		de del para_que para_el para_la con sin en por es son está estoy soy tengo yo nosotros eh este_eh pues quiero
		quisiera necesito puedo número me lo`),
	short: wordsOf(`sí si no gracias correcto exacto vale claro hola adiós bueno por_favor nunca quizás tal_vez ninguno
		ninguna ambos ambas okay ok todavía_no no_sé no_gracias eso_es así_es perfecto de_acuerdo`),
	numbers: wordsOf(`cero uno una dos tres cuatro cinco seis siete ocho nueve doble`),
	spelling: wordsOf(`punto arroba guion guión guion_bajo guión_bajo barra mayúscula minúscula con_acento de_como espacio
		doble_u i_griega uve`),
}

var italian = &Lexicon{
	backchannels: wordsOf(hums + `sì si già certo bene capito va_bene d'accordo esatto perfetto giusto ho_capito vero
		certamente ecco`),
	stops: wordsOf(`ferma fermo si_fermi no aspetta aspetti un_momento un_attimo un_secondo attimo scusi scusa basta
		stop pausa`),
	unfinished: wordsOf(`e o ma perché che chi se quando come il lo la i gli le un uno una mio mia miei suo sua nostro a al
		alla di del della da dal con senza per in nel nella su sul è sono ho ha io noi ehm eh allora cioè vorrei voglio
		posso devo numero mi`),
	short: wordsOf(`sì si no grazie corretto esatto certo pronto ciao arrivederci per_favore mai forse nessuno nessuna
		entrambi okay ok non_ancora non_lo_so non_so no_grazie va_bene d'accordo perfetto giusto`),
	numbers: wordsOf(`zero uno due tre quattro cinque sei sette otto nove doppio`),
	spelling: wordsOf(`punto chiocciola trattino trattino_basso underscore barra maiuscola minuscola come di_come spazio
		ancona bologna como domodossola empoli firenze genova imola livorno milano napoli otranto padova roma savona torino
		udine venezia zara`),
}

var dutch = &Lexicon{
	backchannels: wordsOf(hums + `ja jawel goed precies juist klopt prima oké inderdaad natuurlijk dat_klopt ik_snap_het
		begrepen zeker heel_goed mooi`),
	stops: wordsOf(`stop wacht wacht_even wachten nee ho momentje een_moment een_momentje een_seconde moment sorry
		ogenblik hou_op houd_op stil pauze`),
	unfinished: wordsOf(`en of maar omdat want dat die wie als wanneer terwijl de het een mijn jouw uw zijn haar onze dit
		deze van voor met bij in op aan uit naar om te over zonder is zijn was ben heb heeft ik wij we jij u hij ze eh uh
		uhm dus wil kan moet nummer`),
	short: wordsOf(`ja nee bedankt dank_u dank_je correct klopt precies hallo dag doei tot_ziens alstublieft graag
		misschien nooit geen beide oké ok okay nog_niet weet_ik_niet weet_niet nee_dank_u prima goed juist`),
	numbers: wordsOf(`nul een één twee drie vier vijf zes zeven acht negen dubbel`),
	spelling: wordsOf(`punt apenstaartje at streepje koppelteken liggend_streepje underscore schuine_streep hoofdletter
		kleine_letter van spatie griekse_ij`),
}

var portuguese = &Lexicon{
	backchannels: wordsOf(hums + `sim tá tá_certo tá_bom certo pois claro está_bem entendi entendo perfeito exato isso
		beleza pois_é muito_bem ótimo`),
	stops: wordsOf(`para pare não espera espere um_momento um_segundo um_instante um_minuto momento desculpe com_licença
		chega pausa`),
	unfinished: wordsOf(`e ou mas porque que quem se quando como o a os as um uma uns meu minha meus seu sua nosso este
		esta ao à de do da dos das para_o para_a com sem em no na por pelo pela é são está estou sou tenho eu nós hum_e
		éh então quero queria preciso posso número me`),
	short: wordsOf(`sim não obrigado obrigada correto exato certo olá alô tchau adeus por_favor nunca talvez nenhum nenhuma
		ambos okay ok ainda_não não_sei não_obrigado não_obrigada isso perfeito claro`),
	numbers: wordsOf(`zero um uma dois duas três quatro cinco seis meia sete oito nove dobro`),
	spelling: wordsOf(`ponto arroba hífen traço sublinhado underline barra maiúscula minúscula de_como espaço dáblio
		ípsilon cê_cedilha`),
}
