package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// The whole of it: -kills 20 -contacts 10000.
var (
	killsFlag    = flag.Int("kills", 8, "how often TestKilledWhileItDials kills a process")
	contactsFlag = flag.Int("contacts", 2000, "how many contacts TestKilledWhileItDials has dialled")
)

// The environment of a process that dials until it is killed.
const (
	childDials    = "PATCHCORD_TEST_DIALS"    // URL of the store
	childNode     = "PATCHCORD_TEST_NODE"     // name of the process
	childCampaign = "PATCHCORD_TEST_CAMPAIGN" // id
	childInvites  = "PATCHCORD_TEST_INVITES"  // file of the INVITEs that left
	childAtOnce   = "PATCHCORD_TEST_AT_ONCE"  // calls
	childTalk     = "PATCHCORD_TEST_TALK"     // longest call
)

// dialingChild is a process that dials a campaign to its end.
func dialingChild() {
	talk, err := time.ParseDuration(os.Getenv(childTalk))
	atOnce, e := strconv.Atoi(os.Getenv(childAtOnce))
	out, ferr := os.OpenFile(os.Getenv(childInvites), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	s, oerr := Open(context.Background(), Config{
		URL: os.Getenv(childDials), Node: os.Getenv(childNode),
		beat: 200 * time.Millisecond,
	})
	if err = errors.Join(err, e, ferr, oerr); err == nil {
		fmt.Println("ready")
		// The line is in the file before anything else happens, as an INVITE that has left.
		err = dialAll(context.Background(), s, os.Getenv(childCampaign), atOnce, talk, func(a dialer.Attempt) error {
			_, err := fmt.Fprintln(out, "INVITE", a.Contact.ID, a.N)
			return err
		})
	}
	if err == nil {
		err = s.Close(context.Background())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("done")
	os.Exit(0)
}

// dialAll dials a campaign to its end, some contacts more than once. invite is what
// follows the fence.
func dialAll(
	ctx context.Context, s *Store, campaign string, atOnce int, talk time.Duration, invite func(dialer.Attempt) error,
) error {
	l := s.Ledger()
	ended := make(chan error, atOnce) // one of each call
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	up, recovered := 0, time.Now()
	for {
		for range cap(ended) { // what has ended is counted before more is claimed
			select {
			case err := <-ended:
				if up--; err != nil {
					return err
				}
				continue
			default:
			}
			break
		}
		got, err := l.Claim(ctx, campaign, atOnce-up, nil)
		if err != nil {
			return err
		}
		for _, a := range got {
			up++
			go func() { ended <- dialOne(ctx, l, a, talk, invite) }()
		}
		if len(got) == 0 && up == 0 {
			if over, err := atItsEnd(ctx, l, campaign); over || err != nil {
				return err
			}
		}
		if time.Since(recovered) > 100*time.Millisecond {
			recovered = time.Now()
			if _, _, err := l.Recover(ctx); err != nil {
				return err
			}
		}
		<-tick.C // a claim takes some at once, as a node's does
	}
}

// atItsEnd ends a campaign with nothing left to dial, and tells whether it has ended.
func atItsEnd(ctx context.Context, l *Ledger, campaign string) (bool, error) {
	if done, err := l.Complete(ctx, campaign); done || err != nil {
		return done, err
	}
	c, err := l.s.Campaign(ctx, campaign)
	return over(c.Status), err
}

// dialOne is one call: a fifth are busy and called again, twice at most.
func dialOne(ctx context.Context, l *Ledger, a dialer.Attempt, talk time.Duration,
	invite func(dialer.Attempt) error,
) error {
	err := l.Dialing(ctx, a, telephony.CallID(fmt.Sprint(a.Contact.ID, "/", a.N)), "+4930100")
	if errors.Is(err, dialer.ErrNotClaimed) {
		return nil
	}
	if err == nil {
		err = invite(a)
	}
	if err != nil {
		return err
	}
	h := fnv.New32a()
	_, _ = fmt.Fprint(h, a.Contact.Number, a.N)
	if talk > 0 {
		t := time.NewTimer(time.Duration(h.Sum32()) % talk)
		<-t.C
	}
	r := dialer.Result{Outcome: dialer.OutcomePerson, Next: dialer.Reached}
	if h.Sum32()/1000%5 == 0 && a.N < 3 {
		r = dialer.Result{Outcome: dialer.OutcomeBusy, SIP: 486, Next: dialer.Pending}
	}
	return l.Finish(ctx, a, r)
}

// dialers are the processes of a test that dial.
type dialers struct {
	t       testing.TB
	env     []string
	invites string // file

	mu   sync.Mutex // guards what follows
	kids []*exec.Cmd
	done []chan error // closed with how a process ended, of capacity 1
}

// start starts the process of a place, until it is ready.
func (d *dialers) start(i int) {
	d.t.Helper()
	c := exec.Command(os.Args[0]) //nolint:gosec // this test itself
	c.Env = append(append(os.Environ(), d.env...), childNode+"=node"+strconv.Itoa(i))
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		d.t.Fatalf("the child says %q, %v", lines.Text(), errors.Join(lines.Err(), c.Wait()))
	}
	done := make(chan error, 1) // how it ended
	go func() {
		said := ""
		for lines.Scan() {
			said = lines.Text()
		}
		err := c.Wait()
		if err == nil && said != "done" || err != nil && said != "" {
			err = fmt.Errorf("the child says %q, %w", said, errors.Join(err, io.ErrUnexpectedEOF))
		}
		done <- err
	}()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kids[i], d.done[i] = c, done
}

func (d *dialers) kill(i int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kids[i] != nil {
		_ = d.kids[i].Process.Kill()
		<-d.done[i]
		d.kids[i] = nil
	}
}

// size is how many bytes of INVITEs have left.
func (d *dialers) size() int64 {
	st, err := os.Stat(d.invites)
	if err != nil {
		return 0
	}
	return st.Size()
}

// Processes that are killed at any moment dial no attempt twice and lose no contact:
// what they dialled, and nobody knows how it went, is up for review.
func TestKilledWhileItDials(t *testing.T) {
	t.Parallel()
	eachURL(t, func(t *testing.T, url string) {
		const atOnce = 50
		kills, contacts, processes := *killsFlag, *contactsFlag, 1
		if strings.HasPrefix(url, "postgres") {
			processes = 3
		}
		s := open(t, url)
		// Slow enough to be at it when the last one is killed: 1.5 s for each.
		cps := float64(contacts) / (1.5 * float64(kills))
		c := draft(t, s, dialer.Campaign{Concurrency: processes * atOnce, CPS: cps}, contacts)
		for i, m := range people(contacts) {
			if i%100 == 50 {
				must(s.AddDNC(t.Context(), "", "", []DNC{{Number: m.Number}}))(t)
			}
		}
		must(s.StartCampaign(t.Context(), "", c.ID))(t)
		closed(t, s)
		d := &dialers{t: t, invites: filepath.Join(t.TempDir(), "invites"), kids: make([]*exec.Cmd, processes), done: make([]chan error, processes)}
		d.env = []string{
			childDials + "=" + url, childCampaign + "=" + c.ID, childInvites + "=" + d.invites,
			childAtOnce + "=" + strconv.Itoa(atOnce), childTalk + "=50ms",
		}
		began := time.Now()
		for i := range processes {
			d.start(i)
			t.Cleanup(func() { d.kill(i) })
		}
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		const line = len("INVITE 01a22d3b-0952-7caf-bf8e-ffa7bca9bcc2 1\n")
		for k := range kills {
			// At a random moment of its part of the work.
			part := float64(k) + rand.Float64()                                 //nolint:gosec // a test
			until := int64(part / float64(kills) * float64(contacts*line*9/10)) // a tenth is blocked, or up for review
			for limit := time.After(time.Minute); d.size() < until; {
				select {
				case <-tick.C:
				case <-limit:
					t.Fatal("nobody dials")
				}
			}
			i := rand.IntN(processes) //nolint:gosec // a test
			d.kill(i)
			d.start(i)
		}
		for i := range processes {
			select {
			case err := <-d.done[i]:
				if d.kids[i] = nil; err != nil {
					t.Fatal(err)
				}
			case <-time.After(5 * time.Minute):
				t.Fatal("it does not come to its end")
			}
		}
		took := time.Since(began)
		invites := d.invited(t)
		s = open(t, url)
		defer closed(t, s)
		sum, doubled, fenced := 0, 0, 0
		n := must(s.CampaignStats(t.Context(), c.ID))(t)
		for state, k := range n.Contacts {
			sum += k
			if slices.Contains([]dialer.State{dialer.Pending, dialer.Claimed, dialer.Dialing, dialer.Expired}, state) {
				t.Errorf("%d contacts are %s", k, state)
			}
		}
		for _, k := range invites {
			if k > 1 {
				doubled++
			}
		}
		for d, err := range s.Results(t.Context(), c.ID) {
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range d.Dials {
				key := fmt.Sprint(a.Contact, " ", a.N)
				if invites[key] == 0 && a.Outcome != dialer.OutcomeUnknown {
					t.Errorf("%s was %s and never left", key, a.Outcome)
				}
				delete(invites, key)
				fenced++
			}
			if d.State == dialer.Blocked && len(d.Dials) > 0 || d.State == dialer.Reached && len(d.Dials) == 0 {
				t.Errorf("%s with %d attempts", d.State, len(d.Dials))
			}
		}
		if len(invites) > 0 {
			t.Errorf("%d INVITEs of attempts that nobody knows", len(invites))
		}
		if doubled > 0 || sum != contacts || n.Contacts[dialer.Blocked] != contacts/100 ||
			n.Contacts[dialer.Review] > kills*atOnce {
			t.Errorf("%d doubled, %d of %d contacts: %v", doubled, sum, contacts, n.Contacts)
		}
		t.Logf("processes %d, kills %d, contacts %d: attempts %d, doubled %d, lost %d, in review %d, reached %d, blocked %d; %.1f s",
			processes, kills, contacts, fenced, doubled, contacts-sum, n.Contacts[dialer.Review], n.Contacts[dialer.Reached],
			n.Contacts[dialer.Blocked], took.Seconds())
	})
}

// invited counts the INVITEs that left, by contact and attempt.
func (d *dialers) invited(t *testing.T) map[string]int {
	t.Helper()
	b, err := os.ReadFile(d.invites)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for l := range bytes.Lines(b) {
		f := strings.Fields(string(l))
		if len(f) != 3 || f[0] != "INVITE" {
			t.Fatalf("the line %q", l)
		}
		out[f[1]+" "+f[2]]++
	}
	return out
}
