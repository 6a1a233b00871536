package knowledge

// Words that say nothing of what a text is about, by language: articles,
// pronouns, prepositions, auxiliary verbs, and what people put around a
// question. They tell languages apart, too.
//
//nolint:misspell // of other languages
const (
	stopEnglish = `a long much many often about after all also am an and any are as at be because been before being but
		by can could did do does doing for from get got had has have having he her here him his how i if in
		into is it its just know let like me more most my need no nor not now of off on once only or other
		our out over own per please same say she should so some such tell than that the their them then
		there these they this those through to too under until up us very want was we were what when where
		which while who whom why will with would you your yours ll re ve don doesn isn aren t s`
	stopFrench = `a combien ai aie ainsi alors as au aucun aussi autre aux avec avez avoir avons c car ce cela ces cet
		cette chez ci comme comment d dans de des dire dites donc dont du elle elles en encore es est et etc
		être étaient était été eu eux faire fait faites faut il ils j je l la le les leur leurs lors lui m
		ma mais me mes moi mon même n ne nos notre nous on ont ou où par pas peut peuvent peux plus pour
		pouvez puis puisje qu quand que quel quelle quelles quels qui quoi s sa sans se sera ses si soit son
		sont sous souhaite sur t ta te tes toi ton tous tout toute toutes très tu un une veut veux serai
		seras seront suis sommes êtes avais aurai voici voilà vos votre voudrais vous y`
	stopGerman = `lange oft aber alle allem allen aller alles als also am an ander andere anderen auch auf aus bei
		beim bin bis bist bitte da damit dann darf das dass dein dem den denn der des dessen dich die dies
		diese diesem diesen dieser dieses dir doch dort du durch ein eine einem einen einer eines er es
		etwas euch euer für gegen gehabt gibt hab habe haben hat hatte hier ich ihm ihn ihnen ihr ihre ihrem
		ihren ihrer im in ins ist ja jede jeden jeder jedes jetzt kann kannst kein keine keinen können
		könnte könnten machen man mehr mein meine meinem meinen meiner mich mir mit muss müssen möchte nach
		nicht noch nun nur ob oder ohne sagen sehr sein seine seinem seinen seiner selbst sich sie sind so
		soll sollte sonst über um und uns unser unsere unserem unseren unserer unter viel vom von vor war
		waren was weil welche welchem welchen welcher welches wenn wer werde werden wie wieder will wir wird
		wo wurde würde zu zum zur zwischen`
	stopSpanish = `a al algo algunos ante antes aquí como con cual cuando cuándo cuánto cuál cómo de decir del desde
		donde dónde durante e el ella ellas ellos en entre era es esa ese eso esta estaba estamos estar este
		esto estos está están fue ha haber hace hasta hay la las le les lo los me mi mis mucho muy más nada
		ni no nos nosotros o os otra otro para pero poco por porque puede pueden puedo que quien quiero qué
		se sea ser si sin sobre son su sus sí también te tengo tiene tienen todo todos tu tus un una uno
		unos usted ustedes y ya yo`
	stopItalian = `a ad agli ai al alla alle allo anche avere aveva c che chi ci come con cosa cui d da dagli dai dal
		dalla dalle degli dei del dell della delle dello di dire dove e ed era essere fare fino gli ha hai
		hanno ho i il in io l la le lei li lo loro lui ma mi mio molto ne negli nei nel nell nella nelle no
		noi non nostro o ogni per perché però più poi possiamo posso può qual quale quali quando quanto
		quella quelle quelli quello questa queste questi questo qui quindi sarà se sei senza si sia siamo
		sono su sua sue sugli sui sul sulla sulle suo suoi tra tu tutti tutto un una uno vi voglio voi
		vorrei vostro è`
	stopDutch = `aan al alle alleen als altijd ben bij daar dan dat de deze die dit doen door dus een eens en er ge
		geen graag haar had hebben heb hebt heeft hem het hier hij hoe hun iets ik in is ja je jij jullie
		kan kun kunnen kunt maar me meer men met mij mijn moet moeten na naar niet niets nog nu of om omdat
		ons ook op over per te tegen toch toe tot u uit uw van veel voor waar waarom wanneer want waren was
		wat we wel welke werd wie wij wil willen wordt worden zal ze zich zij zijn zo zonder zou`
	stopPortuguese = `a ao aos aquela aquele aqui as até com como da das de dela dele deles depois do dos e ela elas ele
		eles em entre era essa esse esta está estão estar este eu foi fazer há isso isto já lhe mais mas me
		mesmo meu minha muito na nas nem no nos nossa nosso não o onde os ou para pela pelas pelo pelos pode
		podem por porque posso qual quais quando quanto que quem quero se seja sem ser será seu seus sim
		sobre sua suas são só também te tem temos ter teu tu tua um uma umas uns você vocês à às é`
)
