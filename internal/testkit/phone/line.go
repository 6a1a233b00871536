package phone

import (
	"context"
	"errors"
	"fmt"
	"net"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/rtp"
	"github.com/patchcord/patchcord/telephony/sip"
)

// LineConfig is where a line's packets come from. The zero value is loopback
// with any ports.
type LineConfig struct {
	Bind             string // IP address; "": 127.0.0.1
	PortMin, PortMax int    // of media; 0: 30000 to 32766
	Name             string // in User-Agent
	Log              *zap.Logger
}

// Line is a telephone line over SIP: any number of calls out, none in.
type Line struct {
	ua    *sip.UserAgent
	close func()
}

// OpenLine binds the line's sockets. Close must follow.
func OpenLine(ctx context.Context, cfg LineConfig) (*Line, error) {
	if cfg.Bind == "" {
		cfg.Bind = "127.0.0.1"
	}
	if cfg.PortMin == 0 {
		cfg.PortMin, cfg.PortMax = 30000, 32766
	}
	media, err := rtp.New(rtp.Config{PortMin: cfg.PortMin, PortMax: cfg.PortMax, Shards: 1, Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort(cfg.Bind, "0")
	ua, err := sip.New(sip.Config{
		Listen: []string{"udp://" + addr, "tcp://" + addr}, Media: media, Name: cfg.Name, Log: cfg.Log,
	})
	if err != nil {
		return nil, err
	}
	// The line outlives ctx: what is up is hung up first, then media ends.
	mediaCtx, stopMedia := context.WithCancel(context.WithoutCancel(ctx))
	lineCtx, stopLine := context.WithCancel(context.WithoutCancel(ctx))
	var mediaRun, lineRun errgroup.Group
	failed := make(chan error, 1) // the one result of Serve
	mediaRun.Go(func() error { return media.Serve(mediaCtx) })
	lineRun.Go(func() error {
		err := ua.Serve(lineCtx)
		failed <- err
		return err
	})
	l := &Line{ua: ua, close: func() {
		stopLine()
		_ = lineRun.Wait() // told by Ready's other case where it matters
		stopMedia()
		_ = mediaRun.Wait()
	}}
	select {
	case <-ua.Ready():
		return l, nil
	case err := <-failed:
		l.close()
		return nil, err
	case <-ctx.Done():
		l.close()
		return nil, context.Cause(ctx)
	}
}

// Dial returns when somebody has answered.
func (l *Line) Dial(ctx context.Context, to telephony.Destination) (telephony.Leg, error) {
	leg, err := l.ua.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	for ev := range leg.Events() {
		switch ev := ev.(type) {
		case telephony.Answered:
			return leg, nil
		case telephony.Ended:
			return nil, fmt.Errorf("not answered: %s", ev.Cause)
		}
	}
	return nil, errors.New("not answered")
}

// Close hangs up what is up and frees the sockets.
func (l *Line) Close() { l.close() }
