package main

import (
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
	"github.com/patchcord/patchcord/telephony/wsmedia"
)

// openStreams makes what takes the calls that carriers bring over WebSockets.
func (n *node) openStreams() (err error) {
	n.streams, err = wsmedia.New(wsmedia.Config{
		PublicURL: n.cfg.HTTP.PublicURL, Account: n.carrier, Number: n.written, Handler: n.engine, Accept: n.acceptStream,
		Log: n.log, Enter: n.enter, Leave: func(id telephony.TrunkID) { n.streamed.Leave(id, telephony.Inbound) },
	})
	return err
}

// acceptStream is asked before any work is done for a call over a WebSocket.
func (n *node) acceptStream(info telephony.Info) (telephony.Cause, bool) {
	if cause, ok := n.admission.room(info); !ok {
		return cause, false
	}
	return n.accept(info)
}

// enter takes room for a call that a carrier brings over a WebSocket.
func (n *node) enter(id telephony.TrunkID) bool {
	t, ok := n.directory.Table().Trunk(id)
	return ok && n.streamed.Enter(t)
}

// line is what is known of a trunk now, whatever its calls come by.
func (n *node) line(id telephony.TrunkID) trunk.Status {
	if _, ok := n.carrier(id); !ok {
		return n.sip.TrunkStatus(id)
	}
	s := trunk.Status{ID: id, Load: n.streamed.Load(id)}
	s.Error, s.ErrorAt = n.streams.Fault(id)
	return s
}

// carrier is the trunk of that name as it is now, where its calls come over
// WebSockets.
func (n *node) carrier(id telephony.TrunkID) (wsmedia.Account, bool) {
	t, ok := n.directory.Table().Trunk(id)
	if !ok || t.Type == "" {
		return wsmedia.Account{}, false
	}
	return wsmedia.Account{
		Trunk: t.ID, Type: t.Type, AccountSID: t.AccountSID, AuthToken: t.AuthToken, PublicKey: t.PublicKey, APIURL: t.APIURL,
		Codecs: t.Codecs, Accepts: t.Accepts, NoRefer: t.Refer == trunk.ReferNever,
	}, true
}

// written is a number of a trunk in E.164, where it is one.
func (n *node) written(id telephony.TrunkID, number string) string {
	country := ""
	if t, ok := n.directory.Table().Trunk(id); ok {
		country = t.Country
	}
	return trunk.Normalize(number, country)
}
