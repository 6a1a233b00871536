package turn

// Node is what the machine knows of a node of the agent's flow.
type Node struct {
	Name    string
	By      string   // what leads there: "start", "function", "condition", "error"
	Actions []string // the calls to make on its entry; its first reply waits for them
	Slow    bool     // the caller is asked for something to dictate
	Locked  bool     // what the model says in it cannot be interrupted
}

// enter changes the node, in one step and for good: what comes of the caller
// or of the reply after it takes nothing back (conv:W19, INV28). Its actions
// run from now on; those of the node before go on without being waited for.
func (m *Machine) enter(n *Node, call string) {
	if !m.listening() {
		return
	}
	if m.entered >= m.policy.MaxTransitions { // a circle of errors or conditions
		m.emit(Note{What: "flow_loop", N: m.entered})
		return
	}
	m.entered++
	m.entries++
	from := m.node.Name
	m.node = *n
	m.slow, m.rehear = m.policy.SlowInput || n.Slow, true
	m.discard("other_node") // it was prepared for the one before
	m.emit(EnterNode{From: from, To: n.Name, By: n.By, Call: call, Actions: n.Actions})
	for _, id := range n.Actions {
		m.works = append(m.works, &work{Call: Call{ID: id, Name: id}, turn: m.turn, started: m.now, action: m.entries})
		m.emit(RunTool{ID: id})
	}
}

// acting says whether actions of the present node are awaited (conv:W18).
func (m *Machine) acting() bool {
	for _, w := range m.works {
		if w.action != 0 && w.action == m.entries && !w.settled {
			return true
		}
	}
	return false
}

// transit takes a call that leads to another node, unless the caller has gone
// on before it was made (1.9) or another call of the completion leads elsewhere.
func (m *Machine) transit(w *work, taken bool) bool {
	w.settled = true
	switch {
	case m.transcript() != "":
		m.emit(SettleTool{ID: w.ID, Code: "caller_resumed"})
	case taken || m.entered >= m.policy.MaxTransitions:
		m.emit(SettleTool{ID: w.ID, Code: "cancelled"})
	default:
		m.emit(SettleTool{ID: w.ID, OK: true, Code: "entered"})
		m.enter(w.Next, w.ID)
		return true
	}
	return false
}
