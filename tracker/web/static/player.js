// The player: a recording at an exact frame, boxes over it, steps by frame.
//
// Browsers seek by time. A frame is therefore asked for by the middle of the time for which it is shown, and which frame
// is shown is read from the browser's own word of it (requestVideoFrameCallback). A browser's time line may begin
// elsewhere than the file's; by how much is known once its first frame is shown. A recording that the server converts
// cannot be sought in: it plays from the shown frame on, and while it rests, frames come as pictures that the server
// decodes. Photos, and what no browser plays at all, are such pictures only.
"use strict";

const root = document.getElementById("player");
if (root) start();

function start() {
  const it = (name) => document.getElementById(name);
  const [video, still, overlay, stage, menu, slider] = ["video", "still", "overlay", "stage", "menu", "slider"].map(it);
  const about = root.dataset;
  const WINDOW = 500; // frames told of at once
  const windows = new Map(); // number -> promise of {times, boxes}
  const times = new Map(); // frame -> seconds on the file's time line
  const people = new Map(); // frame -> boxes
  let total = 0;
  let frame = 0; // shown
  let wanted = Number(about.frame);
  let kind = about.kind; // "video" as it is, "stream" converted, "photos", or "stills" where nothing plays
  let mode = kind === "video" ? "video" : "stills"; // what is to be seen
  let offset = null; // what the browser's time line is ahead of the file's
  let origin = 1; // first frame of what is played
  let left = false;
  document.body.dataset.player = "1";

  // ---- what the server knows

  function load(number) {
    const index = Math.max(0, Math.floor((number - 1) / WINDOW));
    if (!windows.has(index)) windows.set(index, fetchWindow(index));
    return windows.get(index);
  }

  async function fetchWindow(index) {
    const first = index * WINDOW + 1;
    const answer = await fetch(`/moments/${about.base}.json?first=${first}&count=${WINDOW}`);
    if (!answer.ok) throw new Error("The server does not tell this recording's frames.");
    take(await answer.json());
  }

  function take(told) {
    total = told.frames;
    slider.max = total;
    it("marks")?.setAttribute("viewBox", `1 0 ${total} 1`);
    it("marks")?.removeAttribute("hidden");
    told.times.forEach((seconds, place) => {
      if (seconds !== null) times.set(told.first + place, seconds);
    });
    for (const box of told.boxes) {
      const [number, ...rest] = box;
      if (!people.has(number)) people.set(number, new Map());
      people.get(number).set(rest.join(), rest);
    }
  }

  const known = (number) => times.get(number);
  const end = (number) => known(number + 1) ?? known(number) + (known(number) - (known(number - 1) ?? known(number) - 0.04));

  function nearest(seconds) {
    // among the frames that are loaded, starting from the shown one
    let number = frame || wanted;
    while (known(number + 1) !== undefined && known(number + 1) <= seconds + 0.002) number += 1;
    while (known(number - 1) !== undefined && known(number) > seconds + 0.002) number -= 1;
    return number;
  }

  // ---- showing

  function shown(number) {
    frame = number;
    root.dataset.shown = number;
    slider.value = number;
    draw();
    tell();
    load(Math.min(number + WINDOW / 2, total)).catch(() => {});
    const rest = Number(about.last || 0);
    if (rest && number > rest && !left && !video.paused && it("follow")?.checked) go(about.after);
  }

  function go(address) {
    if (!address) return;
    left = true;
    location.href = address + (it("follow")?.checked ? "&follow=1" : "");
  }

  function onFrame(_, facts) {
    if (offset === null) {
      offset = facts.mediaTime - known(origin);
      frame = origin;
    }
    shown(nearest(facts.mediaTime - offset));
    root.dataset.media = facts.mediaTime;
    watch();
  }

  const watch = () => video.requestVideoFrameCallback?.(onFrame);

  async function seek(number) {
    number = Math.min(Math.max(number, 1), total || 1);
    wanted = number;
    await load(wanted);
    await load(Math.min(wanted + 1, total));
    if (wanted !== number) return; // somebody has gone on meanwhile
    if (kind !== "video") await showStill(number);
    else if (offset !== null && number !== frame && known(number) !== undefined) {
      video.currentTime = Math.max((known(number) + end(number)) / 2 + offset, 0);
      if (!video.requestVideoFrameCallback) shown(number);
    } // else it is there, cannot be decoded, or is asked for again when the first frame is there
  }

  async function open(address, first) {
    // have the browser load a video whose time line begins with a frame
    offset = null;
    origin = first;
    while (known(origin) === undefined && origin < total) origin += 1; // frames at the beginning may be lost
    busy(kind === "stream" ? "converting" : "loading");
    video.src = address;
    watch();
    await new Promise((resolve) => video.addEventListener("loadeddata", resolve, { once: true }));
    busy("");
    for (let turn = 0; offset === null && turn < 40; turn += 1) await new Promise((resolve) => setTimeout(resolve, 25));
    if (offset === null) offset = kind === "stream" ? -known(origin) : 0; // the browser does not tell
  }

  async function playOn() {
    if (kind === "video") return video.play().catch(() => {});
    if (kind !== "stream") return undefined;
    await open(`/stream/${about.base}.mp4?frame=${frame}`, frame);
    see("video");
    return video.play().catch(() => {});
  }

  function rest() {
    video.pause();
    if (kind !== "stream" || mode !== "video") return;
    it("toggle").textContent = "Play";
    video.removeAttribute("src"); // the server need not convert any more
    video.load();
    seek(frame);
  }

  function see(what) {
    mode = what;
    video.hidden = what !== "video";
    still.hidden = what !== "stills";
    draw();
  }

  async function showStill(number) {
    const slow = setTimeout(() => busy("decoding"), 300);
    const picture = new Image();
    picture.src = `/frame/${about.base}/${number}.jpg`;
    await picture.decode().catch(() => {});
    clearTimeout(slow);
    if (number !== wanted) return;
    busy(picture.naturalWidth ? "" : "This frame cannot be decoded.");
    still.src = picture.src;
    await still.decode().catch(() => {});
    see("stills");
    shown(number);
  }

  video.addEventListener("error", () => {
    if (!video.getAttribute("src")) return;
    kind = kind === "video" ? "stream" : "stills"; // try the next way
    controls();
    seek(wanted);
  });
  video.addEventListener("ended", rest);

  function controls() {
    for (const name of ["toggle", "speed"]) {
      it(name).disabled = kind === "photos" || kind === "stills";
      it(name).dataset.off = "";
    }
  }

  function busy(text) {
    it("busy").textContent = text;
    it("busy").hidden = !text;
  }

  // ---- boxes

  const inFrame = () => [...(people.get(frame)?.values() ?? [])];
  const hue = (identity) => (identity * 222.5) % 360;

  function area() {
    const source = mode === "stills" ? still : video;
    const [w, h] = mode === "stills" ? [still.naturalWidth, still.naturalHeight] : [video.videoWidth, video.videoHeight];
    const box = source.getBoundingClientRect();
    const scale = Math.min(box.width / (w || 1), box.height / (h || 1));
    const [width, height] = [w * scale, h * scale];
    const [pw, ph] = [Number(about.width) || w, Number(about.height) || h];
    return { x: (box.width - width) / 2, y: (box.height - height) / 2, sx: width / pw, sy: height / ph, box };
  }

  let drawn = null; // a box that is being drawn, in pixels of the picture

  function draw() {
    const { x, y, sx, sy, box } = area();
    const dense = window.devicePixelRatio || 1;
    overlay.width = box.width * dense;
    overlay.height = box.height * dense;
    const ink = overlay.getContext("2d");
    ink.scale(dense, dense);
    if (drawn) {
      ink.setLineDash([6, 4]);
      ink.lineWidth = 2;
      ink.strokeStyle = "#fff";
      ink.strokeRect(x + drawn[0] * sx, y + drawn[1] * sy, drawn[2] * sx, drawn[3] * sy);
      ink.setLineDash([]);
    }
    if (!it("boxes").checked) return;
    ink.font = "600 14px system-ui, sans-serif";
    for (const [l, t, w, h, identity] of inFrame()) {
      const own = String(identity) === about.identity;
      const colour = `hsl(${hue(identity)} 85% 60%)`;
      ink.lineWidth = own ? 4 : 2;
      ink.strokeStyle = colour;
      ink.strokeRect(x + l * sx, y + t * sy, w * sx, h * sy);
      const label = `#${identity}`;
      const wide = ink.measureText(label).width + 8;
      const top = Math.max(y + t * sy - 20, 0);
      ink.fillStyle = colour;
      ink.fillRect(x + l * sx - ink.lineWidth / 2, top, wide, 20);
      ink.fillStyle = "#111";
      ink.fillText(label, x + l * sx + 4, top + 15);
    }
  }

  function link(text, address) {
    const made = document.createElement("a");
    made.textContent = text;
    made.href = address;
    return made;
  }

  function tell() {
    const seconds = known(frame);
    let text = `${about.kind === "photos" ? "photo" : "frame"} ${frame} of ${total}`;
    if (seconds !== undefined) text = `${moment(seconds + Number(about.start))}, ${text}`;
    it("where").textContent = text;
    it("download").href = `/frame/${about.base}/${frame}.jpg`;
    const here = inFrame().sort((one, other) => one[0] - other[0]);
    const links = here.map((box) => link(`#${box[4]}`, `/identity/${about.run}/${box[4]}`));
    it("present").replaceChildren(links.length ? "In this frame, from the left: " : "Nobody is boxed in this frame.");
    links.forEach((one) => it("present").append(one, " "));
  }

  function moment(seconds) {
    if (about.absolute === "1") return new Date(seconds * 1000).toISOString().replace("T", " ").slice(0, 23);
    const whole = Math.floor(seconds / 60);
    return `${whole}:${(seconds - 60 * whole).toFixed(3).padStart(6, "0")}`;
  }

  // ---- clicking and drawing

  let pressed = null;

  function place(event) {
    const { x, y, sx, sy, box } = area();
    return [(event.clientX - box.left - x) / sx, (event.clientY - box.top - y) / sy];
  }

  overlay.addEventListener("pointerdown", (event) => {
    menu.hidden = true;
    pressed = place(event);
    drawn = null;
    video.pause();
    overlay.setPointerCapture(event.pointerId);
  });
  overlay.addEventListener("pointermove", (event) => {
    if (!pressed) return;
    const now = place(event);
    drawn = [Math.min(pressed[0], now[0]), Math.min(pressed[1], now[1]), Math.abs(now[0] - pressed[0]), Math.abs(now[1] - pressed[1])];
    if (drawn[2] < 8 && drawn[3] < 8) drawn = null;
    draw();
  });
  overlay.addEventListener("pointerup", (event) => {
    if (!pressed) return;
    const [px, py] = pressed;
    pressed = null;
    if (drawn) return offer(event, drawn, null);
    const hit = inFrame().filter(([l, t, w, h]) => px >= l && px <= l + w && py >= t && py <= t + h);
    const smallest = hit.sort((one, other) => one[2] * one[3] - other[2] * other[3])[0];
    if (smallest) offer(event, null, smallest);
    else toggle();
    return undefined;
  });

  function button(text, action) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", action);
    return made;
  }

  function offer(event, box, person) {
    const items = [];
    if (person) {
      const [l, t, w, h, identity, tracklet] = person;
      items.push(link(`Person #${identity}`, `/identity/${about.run}/${identity}`));
      if (tracklet) {
        items.push(link("Find everywhere", `/find?like=${about.base}/${tracklet}`));
        items.push(link("Follow this person", `/play/${about.base}?tracklet=${tracklet}&frame=${frame}`));
        if (about.tracklet && String(identity) !== about.identity)
          items.push(link("Compare with the shown person", `/compare?a=${about.base}/${about.tracklet}&b=${about.base}/${tracklet}`));
        items.push(button("Not a person", () => submit("nobody", { tracklet: `${about.recording}/${tracklet}` })));
      } else items.push(button("Find everywhere", () => find([l, t, w, h])));
    } else items.push(button("Find who is in this box", () => find(box)));
    menu.replaceChildren(...items);
    menu.hidden = false;
    const around = stage.getBoundingClientRect();
    menu.style.left = `${Math.min(event.clientX - around.left, around.width - menu.offsetWidth - 4)}px`;
    menu.style.top = `${Math.min(event.clientY - around.top, around.height - menu.offsetHeight - 4)}px`;
    items[0].focus();
  }

  function find([l, t, w, h]) {
    submit("boxed", { frame_number: frame, frame_box: [l, t, l + w, t + h].map(Math.round).join() });
  }

  function submit(name, values) {
    const form = it(name);
    for (const [field, value] of Object.entries(values)) form.elements[field].value = value;
    form.requestSubmit();
  }

  // ---- a part of the sighting, for the tray

  const part = { begin: null, end: null }; // frames

  function mark(which) {
    const other = which === "begin" ? "end" : "begin";
    part[which] = frame;
    if (part[other] === null || part.begin > part.end) part[other] = Number(which === "begin" ? about.last : about.first);
    if (part.begin > part.end) part[other] = frame; // outside the sighting; the server says so
    tellPart();
  }

  function tellPart() {
    const chosen = part.begin !== null;
    const seconds = chosen ? [known(part.begin), known(part.end)] : [];
    const fields = it("choose").elements;
    ["begin_s", "end_s"].forEach((name, place) => {
      fields[name].disabled = !chosen;
      fields[name].value = chosen ? seconds[place] : "";
    });
    it("part-off").hidden = !chosen;
    it("part-told").textContent = chosen
      ? `the part from ${moment(seconds[0] + Number(about.start))} to ${moment(seconds[1] + Number(about.start))}, frames ${part.begin} to ${part.end}`
      : "the whole sighting";
    const rect = it("part-mark");
    rect.setAttribute("visibility", chosen ? "visible" : "hidden");
    rect.setAttribute("x", part.begin ?? 0);
    rect.setAttribute("width", chosen ? part.end - part.begin + 1 : 0);
    it("kept").replaceChildren();
  }

  it("part-begin")?.addEventListener("click", () => mark("begin"));
  it("part-end")?.addEventListener("click", () => mark("end"));
  it("part-off")?.addEventListener("click", () => {
    part.begin = part.end = null;
    tellPart();
  });

  // ---- controls

  const toggle = () => (video.paused ? playOn() : rest());

  const lost = (number) => kind !== "photos" && windows.has(Math.floor((number - 1) / WINDOW)) && known(number) === undefined;

  function step(by) {
    video.pause();
    let number = wanted + by;
    while (number > 1 && number < total && lost(number)) number += by;
    return seek(number);
  }

  video.addEventListener("play", () => (it("toggle").textContent = "Pause"));
  video.addEventListener("pause", () => {
    it("toggle").textContent = "Play";
    wanted = frame;
  });
  it("toggle").addEventListener("click", toggle);
  it("back").addEventListener("click", () => step(-1));
  it("forth").addEventListener("click", () => step(1));
  it("speed").addEventListener("change", (event) => (video.playbackRate = Number(event.target.value)));
  it("boxes").addEventListener("change", draw);
  slider.addEventListener("input", () => {
    video.pause();
    seek(Number(slider.value));
  });
  new ResizeObserver(draw).observe(stage);
  document.addEventListener("pointerdown", (event) => {
    if (!stage.contains(event.target)) menu.hidden = true;
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.matches("input:not([type=checkbox], [type=range], [type=file]), textarea, select")) return;
    const onButton = event.target.matches("button, a, summary, [type=checkbox]");
    if (event.key === "," || (event.key === "ArrowLeft" && event.target === document.body)) step(-1);
    else if (event.key === "." || (event.key === "ArrowRight" && event.target === document.body)) step(1);
    else if (event.key === " " && !onButton) toggle();
    else if (event.key === "n") go(about.after);
    else if (event.key === "p") go(about.before);
    else if (event.key === "b") it("boxes").click();
    else if (event.key === "i") it("part-begin")?.click();
    else if (event.key === "o") it("part-end")?.click();
    else if (event.key === "Escape") menu.hidden = true;
    else return;
    event.preventDefault();
  });

  // ---- begin

  load(1)
    .then(() => load(wanted))
    .then(async () => {
      controls();
      see(mode);
      if (kind === "video") await open(`/video/${about.base}`, 1);
      await seek(wanted);
      if (it("follow")?.checked) playOn();
    })
    .catch((error) => busy(error.message));
}
