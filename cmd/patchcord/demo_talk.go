package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/patchcord/patchcord/configs"
)

// talk serves the demo's agent to a browser until ctx ends.
func (d *demo) talk(ctx context.Context) error {
	cfg, _, err := configs.Load(filepath.Join(d.files, "patchcord.yaml"))
	if err != nil {
		return err
	}
	log, err := processLog("warn")
	if err != nil {
		return err
	}
	n, err := openNode(ctx, cfg, log, nodeOptions{journal: newTranscriptPrinter(d.out), version: version})
	if err != nil {
		return err
	}
	return n.serve(ctx, atOnce, func() {
		page := "http://" + n.http.Addr().String() + "/talk?agent=" + url.QueryEscape(string(cfg.DefaultAgent))
		fmt.Fprintf(d.out, "Talk to the agent in a browser on this machine, Ctrl-C ends:\n\n  %s\n\n", page)
		fmt.Fprintf(d.out, "The local recogniser knows sentences like these: %q, %q, %q.\n\n",
			"where is my order", "my order number is four four one seven", "what are your opening hours")
		showPage(ctx, page)
	})
}

// showPage opens a page where somebody sits at this machine.
func showPage(ctx context.Context, page string) {
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return
	}
	if open, err := exec.LookPath("xdg-open"); err == nil {
		_ = exec.CommandContext(ctx, open, page).Run() //nolint:gosec // the page is ours; printed already
	}
}
