package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/mattn/go-isatty"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/stt/pocketsphinx"
	"github.com/patchcord/patchcord/audio/tts/flite"
	"github.com/patchcord/patchcord/internal/localspeech"
	"github.com/patchcord/patchcord/internal/testkit/phone"
	"github.com/patchcord/patchcord/internal/testkit/scenario"
)

// probe is all that the calls share.
type probe struct {
	cli      *cli
	scenario *scenario.Scenario
	prompts  *phone.Prompts
	ear      stt.Provider // nil: the scenario expects no words
	line     *phone.Line
	stderr   io.Writer
	live     bool // stderr is looked at by a person

	closers []func() // run last to first
}

func (p *probe) close() {
	for i := len(p.closers) - 1; i >= 0; i-- {
		p.closers[i]()
	}
	p.closers = nil
}

// prepare checks everything and makes all sounds, before anything is dialled.
func (c *cli) prepare(ctx context.Context, stderr io.Writer) (_ *probe, err error) {
	if err := c.checks(); err != nil {
		return nil, err
	}
	p := &probe{cli: c, stderr: stderr}
	if f, ok := stderr.(*os.File); ok {
		p.live = isatty.IsTerminal(f.Fd())
	}
	if p.scenario, err = scenario.Load(c.Scenario); err != nil {
		return nil, err
	}
	if err := c.override(p.scenario); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	log := logger(c.Verbose, stderr)
	if err := p.speech(ctx, log); err != nil {
		return nil, err
	}
	return p, p.connect(ctx, log)
}

// override puts what the command line says into the scenario.
func (c *cli) override(s *scenario.Scenario) error {
	for _, o := range []struct{ from, to *string }{
		{&c.From, &s.From}, {&c.Codec, &s.Codec}, {&c.Voice, &s.Voice}, {&c.Phrases, &s.Phrases},
	} {
		if *o.from != "" {
			*o.to = *o.from
		}
	}
	if s.From == "" {
		s.From = "callprobe"
	}
	switch strings.ToUpper(s.Codec) {
	case "", "PCMU", "PCMA", "G722", "opus":
		s.Codec = strings.ToUpper(s.Codec)
		return nil
	}
	return fmt.Errorf("%s: no codec %q; write PCMU, PCMA, G722 or opus", s.File, s.Codec)
}

// speech makes the voice and the recogniser that the scenario needs.
func (p *probe) speech(ctx context.Context, log *zap.Logger) error {
	says, hears := needs(p.scenario)
	if says || hears {
		helper := localspeech.New(localspeech.Config{Path: p.cli.Helper, Log: log})
		p.closers = append(p.closers, func() { _ = helper.Close() })
		if hears {
			if p.scenario.Phrases == "" {
				return fmt.Errorf("%s expects words: name the file of the sentences that may be heard, "+
					"by phrases: in the scenario or by --phrases", p.scenario.File)
			}
			ear, err := pocketsphinx.New(pocketsphinx.Config{Phrases: p.scenario.Phrases}, helper, log)
			if err != nil {
				return err
			}
			p.closers = append(p.closers, func() { _ = ear.Close() })
			p.ear = ear
		}
		voice, err := flite.New(flite.Config{Voice: "rms"}, helper, log)
		if err != nil {
			return err
		}
		p.closers = append(p.closers, func() { _ = voice.Close() })
		p.prompts, err = phone.Prepare(ctx, p.scenario, voice)
		return err
	}
	var err error
	p.prompts, err = phone.Prepare(ctx, p.scenario, nil)
	return err
}

// needs tells what of speech a scenario uses.
func needs(s *scenario.Scenario) (says, hears bool) {
	hears = len(s.Heard.Words) > 0
	for _, step := range s.Steps {
		says = says || step.Text != ""
		hears = hears || len(step.Words)+len(step.Not) > 0
	}
	return says, hears
}

// connect opens the telephone line.
func (p *probe) connect(ctx context.Context, log *zap.Logger) error {
	low, high, err := ports(p.cli.Ports)
	if err != nil {
		return err
	}
	line, err := phone.OpenLine(ctx, phone.LineConfig{
		Bind: p.cli.Bind, PortMin: low, PortMax: high, Name: "callprobe", Log: log,
	})
	if err != nil {
		return fmt.Errorf("--bind %s: %w", p.cli.Bind, err)
	}
	p.line = line
	p.closers = append(p.closers, line.Close)
	return nil
}

func ports(s string) (low, high int, err error) {
	a, b, ok := strings.Cut(s, "-")
	low, errLow := strconv.Atoi(a)
	high, errHigh := strconv.Atoi(b)
	if !ok || errors.Join(errLow, errHigh) != nil {
		return 0, 0, fmt.Errorf("--ports %s: want the first and the last port, such as 30000-32766", s)
	}
	return low, high, nil
}

func logger(verbose bool, w io.Writer) *zap.Logger {
	if !verbose {
		return zap.NewNop()
	}
	enc := zap.NewDevelopmentEncoderConfig()
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(enc), zapcore.AddSync(w), zap.DebugLevel))
}
