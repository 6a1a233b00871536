package main

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/patchcord/patchcord/configs"
)

// serveCmd runs the engine until it is told to end.
type serveCmd struct {
	Config string        `short:"c" help:"Configuration file; else the default." type:"path" placeholder:"FILE"`
	Drain  time.Duration `help:"How long running calls may go on after SIGTERM." default:"10m" placeholder:"TIME"`
}

// Help is shown by --help.
func (serveCmd) Help() string {
	return `Answers and places calls. It is ready when it logs "ready". SIGTERM lets
running calls end in their own time; a second one ends them politely at once.

Example:
  patchcord serve -c /etc/patchcord/patchcord.yaml`
}

// Run serves.
func (c *serveCmd) Run(ctx context.Context) error {
	cfg, warnings, done, err := configs.Open(c.Config)
	if err != nil {
		return err
	}
	defer done()
	log, err := processLog(cfg.Log.Level)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		log.Warn("configuration", zap.String("warning", w.Error()))
	}
	n, err := openNode(ctx, cfg, log, nodeOptions{version: version, reader: documentReader()})
	if err != nil {
		return err
	}
	return n.serve(ctx, secondSignal(ctx, c.Drain), func() {
		addrs := make([]string, 0, len(n.sip.Addrs()))
		for _, a := range n.sip.Addrs() {
			addrs = append(addrs, a.Network()+"://"+a.String())
		}
		fields := []zap.Field{
			zap.Strings("sip", addrs), zap.String("http", "http://"+n.http.Addr().String()),
			zap.Strings("agents", n.agentNames()),
		}
		if n.web != nil {
			fields = append(fields, zap.String("webrtc", "udp://"+n.web.Addr().String()))
		}
		log.Info("ready", fields...)
	})
}

// mostNames is how many agents the log names.
const mostNames = 20

func (n *node) agentNames() []string {
	agents, _ := n.directory.Agents(context.Background())
	var out []string
	for i, a := range agents {
		if i == mostNames {
			return append(out, fmt.Sprintf("and %d more", len(agents)-i))
		}
		out = append(out, a.Name)
	}
	return out
}

// processLog is the log of the process: JSON on stderr.
func processLog(level string) (*zap.Logger, error) {
	l, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	zc := zap.NewProductionConfig()
	zc.Level, zc.Sampling = zap.NewAtomicLevelAt(l), nil
	zc.EncoderConfig.EncodeTime = zapcore.ISO8601TimeEncoder
	zc.DisableStacktrace = true
	return zc.Build()
}
