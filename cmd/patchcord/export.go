package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
)

// exportCmd writes what the store holds as files.
type exportCmd struct {
	Dir    string `arg:"" help:"Folder to make, or an empty one." type:"path"`
	Config string `short:"c" help:"Configuration file; else the default." type:"path" placeholder:"FILE"`
	JSON   bool   `help:"Tell the result as one JSON object."`
}

// Help is shown by --help.
func (exportCmd) Help() string {
	return `Writes the agents, tools, trunks and numbers of the store, with the rest of
the configuration, as files from which an equal store is made. A running engine
is not disturbed. No webhook's secret and no trunk's password is written: the
variables that stand for them are told. What stands in a tool's headers as it is, and not
as {{secret.NAME}}, is written, and told.

Example:
  patchcord export backup -c /etc/patchcord/patchcord.yaml
  patchcord validate backup/patchcord.yaml`
}

// exported is the result.
type exported struct {
	Dir       string   `json:"dir"`
	Agents    int      `json:"agents"`
	Tools     int      `json:"tools"` // of the library
	Trunks    int      `json:"trunks"`
	Numbers   int      `json:"numbers"`
	Variables []string `json:"variables"` // to be set
	Warnings  []string `json:"warnings"`  // of the files that were written
}

// Run exports.
func (c *exportCmd) Run(ctx context.Context, o *output) error {
	cfg, _, done, err := configs.Open(c.Config)
	if err != nil {
		return err
	}
	defer done()
	objects, err := kept(ctx, storeConfig(cfg, zap.NewNop()))
	if err != nil {
		return err
	}
	r := exported{
		Dir: c.Dir, Agents: len(objects.Agents), Tools: len(objects.Library), Trunks: len(objects.Trunks),
		Numbers: len(objects.Numbers), Variables: []string{}, Warnings: []string{},
	}
	variables, err := configs.Write(c.Dir, cfg, objects)
	if err != nil {
		return err
	}
	r.Variables = append(r.Variables, variables...)
	_, warnings, err := configs.Load(filepath.Join(c.Dir, "patchcord.yaml"))
	if err != nil {
		return fmt.Errorf("%s is written, and needs a look before it can be used: %w", c.Dir, err)
	}
	for _, w := range warnings {
		r.Warnings = append(r.Warnings, w.Error())
	}
	if c.JSON {
		return json.NewEncoder(o.out).Encode(r)
	}
	for _, w := range r.Warnings {
		fmt.Fprintln(o.err, "warning: "+w)
	}
	_, err = fmt.Fprintf(o.out, "%s: %s, %s, %s, %s\n", c.Dir, count(r.Agents, "agent"), count(r.Tools, "shared tool"),
		count(r.Trunks, "trunk"), count(r.Numbers, "number"))
	if len(r.Variables) > 0 && err == nil {
		_, err = fmt.Fprintf(o.out, "secrets to be set in the environment: %s\n", strings.Join(r.Variables, ", "))
	}
	return err
}

// kept is what a store holds.
func kept(ctx context.Context, c store.Config) (o configs.Objects, err error) {
	s, err := store.View(ctx, c)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, s.Close(ctx)) }()
	all := store.Page{Limit: store.All}
	agents, _, err := s.Agents(ctx, store.AgentFilter{Page: all})
	if err != nil {
		return o, err
	}
	for _, a := range agents {
		o.Agents = append(o.Agents, a.Agent)
	}
	library, _, err := s.Tools(ctx, agent.ID(""), all)
	if err != nil {
		return o, err
	}
	for _, t := range library {
		o.Library = append(o.Library, t.Definition)
	}
	trunks, _, err := s.Trunks(ctx, all)
	if err != nil {
		return o, err
	}
	for _, t := range trunks {
		o.Trunks = append(o.Trunks, t.Config)
	}
	numbers, _, err := s.Numbers(ctx, store.NumberFilter{Page: all})
	for _, n := range numbers {
		o.Numbers = append(o.Numbers, n.Number)
	}
	return o, err
}
