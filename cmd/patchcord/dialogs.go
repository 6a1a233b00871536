package main

import (
	"errors"
	"net/url"
	"os"
	"strings"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/telephony/sip"
)

// openDialogs opens the file of the calls that are up. It is no table: calls go
// on while a PostgreSQL is away, and have to be ended where they are when it is
// away as this process starts. Nil where it is off.
func (n *node) openDialogs() (*sip.Dialogs, error) {
	path := dialogsFile(n.cfg)
	if path == "" {
		return nil, nil
	}
	d, err := sip.OpenDialogs(path, n.log)
	switch {
	case err == nil:
		n.onClose(func() {
			if err := d.Close(); err != nil {
				n.log.Warn("sip: close the file of dialogs", zap.Error(err))
			}
		})
		return d, nil
	case errors.Is(err, sip.ErrTaken) || n.cfg.SIP.Dialogs != "":
		return nil, err
	}
	// A folder that nobody can write to is no reason to take no calls.
	n.log.Warn("where this process is killed, its calls stay open at their peers: name a file in sip.dialogs",
		zap.Error(err))
	return nil, nil
}

// dialogsFile is where it is, "" for nowhere.
func dialogsFile(cfg *configs.Config) string { return ownFile(cfg, cfg.SIP.Dialogs, ".dialogs") }

// ownFile is a file of this process's own: as it is named, "" where that is off, by
// default beside the file of the store, which has the same life, or for PostgreSQL
// by the node's name.
func ownFile(cfg *configs.Config, named, ending string) string {
	switch named {
	case "off":
		return ""
	case "":
	default:
		return named
	}
	if file, ok := strings.CutPrefix(cfg.Store.URL, "sqlite:"); ok {
		return strings.TrimPrefix(file, "//") + ending
	}
	node := cfg.Cluster.Node
	if node == "" {
		node, _ = os.Hostname() // as the store has it
	}
	return "patchcord-" + url.PathEscape(node) + ending
}
