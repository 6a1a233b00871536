// The browser phone. /talk?agent=ID#token=TOKEN; without a token it asks for
// one, which the API gives while it needs no key.
'use strict';
const $ = id => document.getElementById(id);
const asked = new URLSearchParams(location.search);
let token = new URLSearchParams(location.hash.slice(1)).get('token');
let call = null; // {pc, mic, sound, url, token, stop}

function show(state) { $('state').textContent = state; }

function say(kind, text, unheard) {
  const li = document.createElement('li');
  li.className = kind;
  li.append(text);
  if (unheard) {
    const s = document.createElement('s');
    s.textContent = ' ' + unheard;
    li.append(s);
  }
  $('words').append(li);
  li.scrollIntoView({ block: 'end' });
}

async function answer(response) {
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Error(problem.detail || `${response.status} ${response.statusText}`);
}

async function agentID() {
  if (asked.get('agent')) return asked.get('agent');
  const list = await (await answer(await fetch('/v1/agents'))).json();
  if (!list.data || !list.data.length) throw new Error('There is no agent yet.');
  return list.data[0].id;
}

async function ticket() {
  if (token) {
    const once = token;
    token = null;
    return once;
  }
  const body = JSON.stringify({ agent_id: await agentID() });
  const made = await answer(await fetch('/v1/calls/web/token', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body,
  }));
  return (await made.json()).token;
}

// level follows how loud a stream is, 0 to 1.
function level(sound, stream, meter) {
  const ear = sound.createAnalyser();
  ear.fftSize = 512;
  sound.createMediaStreamSource(stream).connect(ear);
  const wave = new Float32Array(ear.fftSize);
  return () => {
    ear.getFloatTimeDomainData(wave);
    let sum = 0;
    for (const v of wave) sum += v * v;
    meter.value = Math.min(1, 3 * Math.sqrt(sum / wave.length));
  };
}

async function dial() {
  show('Asking for the microphone…');
  const c = call = { stop: new AbortController() };
  try {
    c.mic = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true } });
    c.sound = new AudioContext();
    c.sound.resume();
    const meters = [level(c.sound, c.mic, $('mine'))];
    c.pc = new RTCPeerConnection();
    for (const t of c.mic.getAudioTracks()) c.pc.addTrack(t, c.mic);
    c.pc.ontrack = e => {
      const stream = e.streams[0] || new MediaStream([e.track]);
      c.out = new Audio();
      c.out.srcObject = stream;
      c.out.play();
      meters.push(level(c.sound, stream, $('theirs')));
      document.dispatchEvent(new CustomEvent('agent-sound', { detail: stream }));
    };
    c.pc.onconnectionstatechange = () => {
      if (call !== c) return;
      if (c.pc.connectionState === 'connected') up();
      if (['failed', 'closed'].includes(c.pc.connectionState)) end('The connection is lost');
      if (c.pc.connectionState === 'disconnected') show('The connection is bad…');
    };
    c.timer = setInterval(() => meters.forEach(m => m()), 60);
    show('Calling…');
    c.token = await ticket();
    await c.pc.setLocalDescription();
    const made = await answer(await fetch('/v1/calls/web', {
      method: 'POST', body: c.pc.localDescription.sdp,
      headers: { 'Content-Type': 'application/sdp', Authorization: `Bearer ${c.token}` },
    }));
    c.url = made.headers.get('Location');
    if (call !== c) return hangup(c); // the user was faster
    await c.pc.setRemoteDescription({ type: 'answer', sdp: await made.text() });
    follow(c);
  } catch (e) {
    if (call === c) end(e.name === 'NotAllowedError' ? 'The microphone may not be used' : e.message);
  }
}

function up() {
  show('Connected');
  for (const id of ['pad', 'mute']) $(id).disabled = false;
}

function hangup(c) {
  return fetch(c.url, { method: 'DELETE', keepalive: true, headers: { Authorization: `Bearer ${c.token}` } }).catch(() => {});
}

function end(why) {
  const c = call;
  if (!c) return;
  call = null;
  if (c.url) hangup(c);
  clearInterval(c.timer);
  c.stop.abort();
  if (c.pc) c.pc.close();
  if (c.mic) c.mic.getTracks().forEach(t => t.stop());
  if (c.sound) c.sound.close();
  show(why);
  for (const id of ['pad', 'mute']) $(id).disabled = true;
  $('mute').setAttribute('aria-pressed', 'false');
  $('keys').hidden = true;
  $('mine').value = $('theirs').value = 0;
  button();
}

// follow shows what is said, as server-sent events bring it.
async function follow(c) {
  try {
    const response = await answer(await fetch(c.url + '/events', {
      headers: { Authorization: `Bearer ${c.token}` }, signal: c.stop.signal,
    }));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      text += value;
      const events = text.split('\n\n');
      text = events.pop();
      for (const e of events) {
        const data = e.split('\n').find(l => l.startsWith('data: '));
        if (data) happened(c, JSON.parse(data.slice(6)));
      }
    }
  } catch (e) { /* the call goes on without its words */ }
}

function happened(c, e) {
  switch (e.event) {
    case 'turn.user': return say('you', e.text);
    case 'speech.bridge': return say('agent', e.text);
    case 'turn.agent': {
      const heard = e.heard_text || '', all = e.text || heard;
      const cut = e.interrupted && all.startsWith(heard);
      return all && say('agent', cut ? heard : all, cut ? all.slice(heard.length).trim() : '');
    }
    case 'dtmf.received': return say('note', `Key ${e.digit}`);
    case 'call.ended': return call === c && end('The call has ended');
  }
}

function button() {
  $('call').textContent = call ? 'Hang up' : 'Call';
  $('call').className = call ? 'end' : 'go';
}

$('call').onclick = () => {
  if (call) end('The call has ended');
  else { $('words').replaceChildren(); dial(); }
  button();
};
$('mute').onclick = () => {
  const track = call.mic.getAudioTracks()[0];
  track.enabled = !track.enabled;
  $('mute').setAttribute('aria-pressed', String(!track.enabled));
};
$('pad').onclick = () => {
  $('keys').hidden = !$('keys').hidden;
  $('pad').setAttribute('aria-expanded', String(!$('keys').hidden));
};
for (const key of '123456789*0#') {
  const b = document.createElement('button');
  b.type = 'button';
  b.textContent = key;
  b.onclick = () => {
    const sender = call && call.pc.getSenders().find(s => s.dtmf && s.dtmf.canInsertDTMF);
    if (sender) sender.dtmf.insertDTMF(key, 120, 60);
  };
  $('keys').append(b);
}
addEventListener('pagehide', () => end('The call has ended'));
if (asked.get('agent')) $('agent').textContent = asked.get('agent');
