// Players of skeletons: canvases side by side that play in step, turn together and share controls.
//
// A player is a <div class="player" data-shows="..."> with the controls that player.html has, and a
// JSON block of what it can show:
//   shows: [{scenes: [name], captions: [[title, text]], yaws: [radians], note}]
//   {skeletons: [{bones: [[child, parent]], head: joint or -1}],
//    scenes: {name: {skeleton, shape: [T, M, V, D], step, data, up, pasted, window, mark}}}
// where data are the coordinates as base64 of little-endian int16, in units of `step`, ABSENT where
// there is no joint; pasted are joints, window is [first frame, frames] or null, and mark tells how
// pasted joints look inside it: "strong" or "pale".
// The event "show" with {detail: index} makes a player show another of its shows.
"use strict";
(() => {
  const ABSENT = -32768;
  const FRAMES_PER_SECOND = 16;
  const PITCH = 0.12; // radians from above
  const TURN = Math.PI / 36; // of an arrow key
  const DISTANCE = 6; // of the eye, in radii of what is shown: the perspective
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");

  // --- scenes ---

  function decode(scene, skeletons) {
    const bytes = Uint8Array.from(atob(scene.data), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const points = new Float32Array(bytes.length / 2);
    for (let i = 0; i < points.length; i++) {
      const value = view.getInt16(2 * i, true);
      points[i] = value === ABSENT ? NaN : value * scene.step;
    }
    const [frames, persons, joints, dims] = scene.shape;
    const pasted = new Set(scene.pasted);
    const skeleton = skeletons[scene.skeleton];
    return { ...scene, ...skeleton, pasted, points, frames, persons, joints, dims };
  }

  const inside = (scene, frame) =>
    scene.window !== null && frame >= scene.window[0] && frame < scene.window[0] + scene.window[1];

  /** A joint between two frames as [right, up, towards the viewer], or null. */
  function place(scene, time, person, joint) {
    const at = (frame) =>
      ((frame * scene.persons + person) * scene.joints + joint) * scene.dims;
    const frame = Math.floor(time);
    const share = time - frame;
    const found = [0, 0, 0];
    for (let d = 0; d < scene.dims; d++) {
      const here = scene.points[at(frame) + d];
      const next = scene.points[at(Math.min(frame + 1, scene.frames - 1)) + d];
      if (Number.isNaN(here)) return null;
      found[d] = Number.isNaN(next) ? here : here + share * (next - here);
    }
    const [x, y, z] = found;
    if (scene.dims === 2) return [x, scene.up === "-y" ? -y : y, 0];
    if (scene.up === "z") return [x, z, -y];
    return scene.up === "-y" ? [x, -y, -z] : [x, y, z];
  }

  /** Middle and radius that hold nearly all joints of scenes; jumping ones do not count. */
  function bounds(scenes) {
    const all = [[], [], []];
    for (const scene of scenes)
      for (let frame = 0; frame < scene.frames; frame++)
        for (let person = 0; person < scene.persons; person++)
          for (let joint = 0; joint < scene.joints; joint++)
            place(scene, frame, person, joint)?.forEach((value, d) => all[d].push(value));
    const ends = all.map((values) => {
      const sorted = Float32Array.from(values).sort();
      const last = Math.max(sorted.length - 1, 0);
      return [sorted[Math.floor(0.002 * last)] ?? 0, sorted[Math.ceil(0.998 * last)] ?? 0];
    });
    const wide = Math.hypot(ends[0][1] - ends[0][0], ends[2][1] - ends[2][0]) / 2;
    return {
      middle: ends.map(([low, high]) => (low + high) / 2),
      floor: ends[1][0],
      wide,
      radius: Math.max(wide, (ends[1][1] - ends[1][0]) / 2, 1e-6),
    };
  }

  // --- drawing ---

  /** From [right, up, towards] to pixels, with depth: larger is nearer. */
  function camera(canvas, bound, yaw, pitch) {
    const scale = (0.44 * Math.min(canvas.width, canvas.height)) / bound.radius;
    const [cosYaw, sinYaw, cosPitch, sinPitch] = [
      Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch),
    ];
    return (point) => {
      const [x, y, z] = point.map((value, d) => value - bound.middle[d]);
      const right = cosYaw * x + sinYaw * z;
      const towards = cosYaw * z - sinYaw * x;
      const up = cosPitch * y - sinPitch * towards;
      const depth = (cosPitch * towards + sinPitch * y) / bound.radius;
      const near = DISTANCE / (DISTANCE - depth);
      return {
        x: canvas.width / 2 + scale * near * right,
        y: canvas.height / 2 - scale * near * up,
        near,
        depth,
      };
    };
  }

  function drawFloor(context, project, bound, colour, unit) {
    const half = bound.wide * 1.05;
    context.strokeStyle = colour;
    context.lineWidth = unit / 2;
    context.beginPath();
    for (let i = -2; i <= 2; i++)
      for (const flip of [false, true]) {
        const ends = [-half, half].map((end) => {
          const [a, b] = flip ? [(i * half) / 2, end] : [end, (i * half) / 2];
          return project([bound.middle[0] + a, bound.floor, bound.middle[2] + b]);
        });
        context.moveTo(ends[0].x, ends[0].y);
        context.lineTo(ends[1].x, ends[1].y);
      }
    context.stroke();
  }

  function draw(canvas, scene, bound, time, yaw, pitch) {
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(`--player-${name}`);
    const flat = scene.dims === 2;
    const unit = Math.min(canvas.width, canvas.height) / 200;
    const project = camera(canvas, bound, flat ? 0 : yaw, flat ? 0 : pitch);
    const mark = inside(scene, Math.floor(time)) ? colour(scene.mark) : null;
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!flat) drawFloor(context, project, bound, colour("floor"), unit);
    const strokes = [];
    for (let person = 0; person < scene.persons; person++) {
      const plain = colour(`body-${person % 2}`);
      const look = (joint) => (mark && scene.pasted.has(joint) ? mark : plain);
      const joints = Array.from({ length: scene.joints }, (_, joint) => {
        const point = place(scene, time, person, joint);
        return point && project(point);
      });
      for (const [child, parent] of scene.bones) {
        const [a, b] = [joints[child], joints[parent]];
        if (a && b) strokes.push({ a, b, colour: look(child), depth: (a.depth + b.depth) / 2 });
      }
      const head = joints[scene.head];
      if (head) strokes.push({ a: head, head: true, colour: look(scene.head), depth: head.depth });
    }
    strokes.sort((one, other) => one.depth - other.depth); // the nearest last
    context.lineCap = "round";
    for (const { a, b, colour: ink, head } of strokes) {
      context.strokeStyle = context.fillStyle = ink;
      context.lineWidth = 3.2 * unit * a.near ** 2;
      context.beginPath();
      if (head) {
        context.arc(a.x, a.y, 5 * unit * a.near, 0, 2 * Math.PI);
        context.fill();
      } else {
        context.moveTo(a.x, a.y);
        context.lineTo(b.x, b.y);
        context.stroke();
      }
    }
  }

  // --- players; those that play and can be seen share one loop ---

  const playing = new Set();
  let last = null;

  function tick(now) {
    for (const player of playing) player.advance(Math.max(now - last, 0) / 1000);
    last = playing.size ? now : null;
    if (playing.size) requestAnimationFrame(tick);
  }

  function setPlaying(player, on) {
    const idle = playing.size === 0;
    playing[on ? "add" : "delete"](player);
    if (on && idle && last === null) {
      last = performance.now();
      requestAnimationFrame(tick);
    }
  }

  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) target.player.see(isIntersecting);
  });
  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) target.closest(".player").player.draw();
  });

  class Player {
    constructor(root) {
      const find = (name) => root.querySelector(name);
      Object.assign(this, {
        root,
        shows: JSON.parse(root.dataset.shows),
        stage: find(".stage"),
        button: find(".play"),
        slider: find(".frame"),
        counter: find(".counter"),
        speed: find(".speed"),
        choice: find(".choice"),
        windows: find(".windows"),
        note: find(".note"),
        decoded: new Map(),
        scenes: null,
        time: 0,
        visible: false,
        on: root.dataset.autoplay !== undefined && !still.matches,
      });
      root.player = this;
      this.button.addEventListener("click", () => this.toggle());
      this.slider.addEventListener("input", () => this.seek(this.slider.valueAsNumber));
      find(".reset").addEventListener("click", () => this.turnTo(0, PITCH));
      this.choice?.addEventListener("change", () => this.show(Number(this.choice.value)));
      root.addEventListener("show", (event) => this.show(event.detail));
      root.addEventListener("keydown", (event) => this.press(event));
      this.letDrag();
      this.label();
      this.arrange(0); // so that nothing below moves when the player comes into view
      seen.observe(root);
      resized.observe(this.stage);
    }

    see(visible) {
      this.visible = visible;
      if (visible && this.scenes === null) this.show(0);
      setPlaying(this, this.on && visible);
      if (visible) this.draw();
    }

    /** A scene by its name; decoded when it is first needed. */
    find(name) {
      this.data ??= JSON.parse(this.root.querySelector("script").text);
      if (!this.decoded.has(name))
        this.decoded.set(name, decode(this.data.scenes[name], this.data.skeletons));
      return this.decoded.get(name);
    }

    /** Canvases, captions and note of a show, nothing decoded or drawn. */
    arrange(index) {
      const { captions, note } = this.shows[index];
      if (this.choice) this.choice.value = String(index);
      this.stage.replaceChildren(...captions.map(([title, text]) => pane(title, text)));
      this.canvases = [...this.stage.querySelectorAll("canvas")];
      this.note.textContent = note;
    }

    show(index) {
      const { scenes, yaws } = this.shows[index];
      this.arrange(index);
      this.scenes = scenes.map((name) => this.find(name));
      this.yaws = yaws;
      this.frames = Math.max(...this.scenes.map((scene) => scene.frames));
      this.bounds = this.scenes.map((scene) => bounds([scene]));
      const radius = Math.max(...this.bounds.map((bound) => bound.radius));
      for (const bound of this.bounds) bound.radius = radius; // one scale for all
      this.stage.classList.toggle("turns", this.scenes.some((scene) => scene.dims === 3));
      this.slider.max = this.frames - 1;
      this.markWindows();
      this.turnTo(0, PITCH);
      this.seek(0);
    }

    markWindows() {
      const marks = this.scenes.filter((scene) => scene.window && scene.mark === "strong");
      this.windows.replaceChildren(
        ...marks.map((scene) => {
          const mark = document.createElement("i");
          mark.style.marginLeft = `${(100 * scene.window[0]) / scene.frames}%`;
          mark.style.width = `${(100 * scene.window[1]) / scene.frames}%`;
          return mark;
        }),
      );
    }

    /** The frame of a scene at the player's time: all begin and end together. */
    timeOf(scene) {
      return this.frames > 1 ? (this.time * (scene.frames - 1)) / (this.frames - 1) : 0;
    }

    advance(seconds) {
      const speed = FRAMES_PER_SECOND * Number(this.speed.value);
      this.setTime((this.time + speed * seconds) % this.frames);
    }

    seek(frame) {
      this.setTime(Math.min(Math.max(frame, 0), this.frames - 1));
    }

    setTime(time) {
      this.time = time;
      const frame = Math.floor(time);
      this.root.dataset.frame = frame;
      this.slider.value = frame;
      this.counter.textContent = `${frame + 1} / ${this.frames}`;
      const pastes = this.scenes.some(
        (scene) => scene.mark === "strong" && inside(scene, Math.floor(this.timeOf(scene))),
      );
      const where = pastes ? ", inside a marked window" : "";
      this.slider.setAttribute("aria-valuetext", `${frame + 1} of ${this.frames}${where}`);
      this.draw();
    }

    turnTo(yaw, pitch) {
      this.yaw = yaw;
      this.pitch = Math.min(Math.max(pitch, -1.4), 1.4);
      this.draw();
    }

    toggle() {
      this.on = !this.on;
      setPlaying(this, this.on && this.visible);
      this.label();
    }

    label() {
      this.button.textContent = this.on ? "Pause" : "Play";
      this.button.classList.toggle("on", this.on);
    }

    draw() {
      if (!this.visible || this.scenes === null) return;
      this.scenes.forEach((scene, i) => {
        const canvas = this.canvases[i];
        const size = (length) => Math.round(length * Math.min(devicePixelRatio, 2));
        const [width, height] = [size(canvas.clientWidth), size(canvas.clientHeight)];
        if (canvas.width !== width || canvas.height !== height)
          Object.assign(canvas, { width, height });
        const time = Math.min(this.timeOf(scene), scene.frames - 1);
        draw(canvas, scene, this.bounds[i], time, this.yaws[i] + this.yaw, this.pitch);
      });
    }

    press(event) {
      const onStage = event.target === this.stage;
      const turns = {
        ArrowLeft: [-TURN, 0],
        ArrowRight: [TURN, 0],
        ArrowUp: [0, TURN],
        ArrowDown: [0, -TURN],
      };
      if (event.key === " " && (onStage || event.target === this.slider)) this.toggle();
      else if (onStage && event.key in turns)
        this.turnTo(this.yaw + turns[event.key][0], this.pitch + turns[event.key][1]);
      else return;
      event.preventDefault();
    }

    letDrag() {
      let from = null;
      this.stage.addEventListener("pointerdown", (event) => {
        from = { x: event.clientX, y: event.clientY, yaw: this.yaw, pitch: this.pitch };
        this.stage.setPointerCapture(event.pointerId);
      });
      this.stage.addEventListener("pointermove", (event) => {
        if (from === null) return;
        const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
        this.turnTo(from.yaw + dx / 100, from.pitch + dy / 150);
      });
      for (const end of ["pointerup", "pointercancel"])
        this.stage.addEventListener(end, () => (from = null));
    }
  }

  function pane(title, text) {
    const figure = document.createElement("figure");
    const canvas = document.createElement("canvas");
    const caption = document.createElement("figcaption");
    const name = document.createElement("b");
    name.textContent = title;
    caption.append(name, ` ${text}`);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${title}: ${text}`);
    figure.append(canvas, caption);
    return figure;
  }

  const players = [...document.querySelectorAll(".player")].map((root) => new Player(root));
  const redraw = () => players.forEach((player) => player.draw());
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new MutationObserver(redraw).observe(document.documentElement, { attributes: true });
})();
