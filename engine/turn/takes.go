package turn

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// takes says whether an event means something in the present state. What does
// not is ignored and counted: the default of every pair of state and event
// (conv 1.5). It is the one place of the fence: an event of a reply that is
// over gets no further (INV46).
func (m *Machine) takes(ev Event) bool {
	switch e := ev.(type) {
	case SetLanguage:
		to := m.tongue.match(e.Tag)
		return to != "" && to != m.policy.Language
	case VoiceEnd: // of one that has ended, what is still open of it
		return m.voice || e.Echo && (m.owed || m.paused)
	case Voiced:
		return m.voice
	case AudioIdle:
		return m.voice || m.user == Pausing
	case EOT: // its words may still be owed
		return m.voice || m.owed || m.anything()
	case Endpoint: // else it is late, and of no turn that is open
		return m.voice || m.anything()
	case SlowInput:
		return e.On != m.slow
	case VoiceStart, ServerVoice:
		return !m.muted
	case Digit:
		return m.deaf() == ""
	case Verdict:
		return m.call == Live && (m.opening != nil || m.greeted != nil) && !m.mailbox
	case Beep:
		return m.mailbox
	case Mute:
		return m.call != Setup && e.On != m.muted
	case TransferStarted:
		return m.call == Live && !m.mailbox && m.opening == nil
	case TransferJoined:
		return m.call == Handover && e.ID == m.transfer && !m.joined && m.announced == 0
	case TransferResult:
		return m.call == Handover && e.ID == m.transfer
	case FarPlayed:
		return m.farBuffer
	case CollectKeys:
		return m.listening()
	case StopKeys:
		return m.collect != nil
	case Interim:
		return strings.TrimSpace(e.Text) != ""
	case Started:
		r := m.find(e.G)
		return r != nil && r == m.front && !r.started
	case Played:
		r := m.find(e.G)
		return r != nil && r == m.front
	case Useful:
		return m.find(e.G) != nil
	case Audio:
		r := m.find(e.G)
		return r != nil && !r.ready
	case Fed:
		r := m.find(e.G)
		return r != nil && !r.fed
	case LLMDone:
		r := m.find(e.G)
		return r != nil && !r.done || len(e.Calls) > 0 // calls get their result, whatever became of who made them
	case Dry:
		r := m.find(e.G)
		return r != nil && r == m.front && r.started && !r.done
	case LLMErr:
		r := m.find(e.G)
		return r != nil && !r.done
	case Void:
		r := m.prepared.r
		return r != nil && r.g == e.G
	case ToolDone:
		return m.work(e.ID) >= 0
	case AsyncDone:
		return m.listening() && slices.ContainsFunc(m.away, e.of)
	case PreCallDone:
		return m.preCall
	case Answered:
		return m.call == Setup
	case Hold:
		return e.On && m.call == Live || !e.On && m.call == Held
	case MediaLost:
		return m.call != Held && (m.call != Handover || m.joined) // who holds us need not send
	case SayText:
		return m.call == Live && !m.mailbox || m.call == Held
	case Inject:
		return m.listening()
	case End:
		return m.call != Draining
	}
	return true
}

// ignore counts an event that means nothing.
func (m *Machine) ignore(ev Event) {
	if m.ignored == nil {
		m.ignored = map[string]int{}
	}
	m.ignored[NameOf(ev)]++
}

// Ignored counts the events that meant nothing, by their kind: those of replies
// that were over, and those that came in a state that does not know them.
func (m *Machine) Ignored() map[string]int { return maps.Clone(m.ignored) }

// Stuck is what the machine waits for without a deadline or a worker that will
// bring it on, "" while there is one: in every state of an answered call but
// Quiet and Idle some deadline other than the call's own end is set, or
// something is at work; in Quiet and Idle it is the silence, on hold its cap
// (conv 1.5, liveness).
func (m *Machine) Stuck() string {
	switch {
	case m.call == Setup || m.call == Ended: // the leg decides
		return ""
	case m.muted && !m.armed(tMute):
		return "a mute without a cap"
	case m.joined:
		return unless(m.armed(tMaxCall), "two who talk without an end")
	case m.call == Held || m.call == Handover:
		return unless(m.armed(tHoldCap), "a hold without a cap")
	case m.call == Draining:
		return unless(m.armed(tDrain) || m.armed(tTail), "a goodbye without a cap")
	case m.Agent() == Suspended:
		return unless(m.armed(tResume), "a pause without an end")
	case m.front != nil && m.front.started, m.running() != nil: // its last sample, its result
		return ""
	case m.Agent() == Idle && m.user == Quiet && !m.voice && !m.owed && len(m.digits) == 0:
		set := m.armed(tSilence) || m.armed(tFirstKey) || m.armed(tBeep) || m.armed(tTail) || m.muted
		return unless(set, "silence without a prompt")
	}
	for t, at := range m.timer {
		if at != never && timer(t) != tMaxCall && timer(t) != tWarn { //nolint:gosec // an index of the array
			return ""
		}
	}
	return fmt.Sprintf("nothing: call %v, caller %v, agent %v", m.call, m.user, m.Agent())
}

func unless(ok bool, what string) string {
	if ok {
		return ""
	}
	return what
}
