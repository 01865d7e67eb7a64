// A skeleton that plays on a canvas: play, pause, scrub, turn; each joint in a colour of its own.
"use strict";
class SkeletonPlayer {
  static DISTANCE = 6; // of the eye, in radii of what is shown
  static TURN = Math.PI / 36; // of an arrow key

  constructor(root) {
    const find = (name) => root.querySelector(name);
    this.canvas = find("canvas");
    this.button = find(".play");
    this.slider = find(".frame");
    this.counter = find(".counter");
    this.clip = null;
    this.on = false;
    this.time = 0;
    this.button.addEventListener("click", () => this.play(!this.on));
    this.slider.addEventListener("input", () => this.seek(this.slider.valueAsNumber));
    this.canvas.addEventListener("keydown", (event) => this.press(event));
    this.letDrag();
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /**
   * Show a clip from its beginning: {keypoints: [T][M][V][C], bones: [[child, parent]], head: joint
   * or -1, flat, scored, up: "y", "-y" or "z", fps}. Flat ones have two coordinates, scored ones a
   * confidence behind them.
   */
  show(clip) {
    this.clip = clip;
    this.colours = null;
    this.yaw = 0;
    this.pitch = clip.flat ? 0 : 0.12;
    this.points = clip.keypoints.map((frame) => frame.map((body) => this.place(body)));
    this.measure();
    this.slider.max = clip.keypoints.length - 1;
    this.canvas.classList.toggle("flat", clip.flat);
    this.seek(0);
    this.play(!matchMedia("(prefers-reduced-motion: reduce)").matches);
  }

  /** Give each joint its colour, a CSS variable to mix with --nothing and how much of it. */
  paint(colours) {
    this.colours = colours;
    this.draw();
  }

  /** The joints of a body as [right, up, towards the viewer], null where there is none. */
  place(body) {
    const { up, flat, scored } = this.clip;
    if (!body.some((joint) => joint.some((value) => value !== 0))) return null;
    return body.map(([x, y, z]) => {
      if (scored && !(z > 0)) return null;
      if (flat) return [x, up === "-y" ? -y : y, 0];
      if (up === "z") return [x, z, -y];
      return up === "-y" ? [x, -y, -z] : [x, y, z];
    });
  }

  /** Middle and radius of nearly all joints; those that jump away do not count. */
  measure() {
    const all = this.points.flat().filter(Boolean).flat().filter(Boolean);
    const ends = [0, 1, 2].map((d) => {
      const sorted = Float64Array.from(all, (point) => point[d]).sort();
      const last = Math.max(sorted.length - 1, 0);
      return [sorted[Math.floor(0.005 * last)] ?? 0, sorted[Math.ceil(0.995 * last)] ?? 0];
    });
    const half = ends.map(([low, high]) => (high - low) / 2);
    this.middle = ends.map(([low, high]) => (low + high) / 2);
    this.radius = Math.max(Math.hypot(half[0], half[2]), half[1], 1e-9);
  }

  play(on) {
    const idle = !this.on;
    this.on = on;
    this.button.textContent = on ? "Pause" : "Play";
    if (!on || !idle) return;
    let before = null;
    const step = (now) => {
      if (!this.on) return;
      if (before !== null) {
        const frames = this.clip.keypoints.length;
        this.setTime((this.time + ((now - before) / 1000) * (this.clip.fps ?? 30)) % frames);
      }
      before = now;
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  seek(frame) {
    this.setTime(Math.min(Math.max(frame, 0), this.clip.keypoints.length - 1));
  }

  setTime(time) {
    const frames = this.clip.keypoints.length;
    const frame = Math.min(Math.floor(time), frames - 1);
    this.time = time;
    this.slider.value = frame;
    this.slider.setAttribute("aria-valuetext", `${frame + 1} of ${frames}`);
    this.counter.textContent = `${frame + 1} / ${frames}`;
    this.draw();
  }

  turn(yaw, pitch) {
    if (!this.clip || this.clip.flat) return;
    this.yaw = yaw;
    this.pitch = Math.min(Math.max(pitch, -1.4), 1.4);
    this.draw();
  }

  press(event) {
    const { TURN } = SkeletonPlayer;
    const turns = {
      ArrowLeft: [-TURN, 0], ArrowRight: [TURN, 0], ArrowUp: [0, TURN], ArrowDown: [0, -TURN],
    };
    if (event.key === " ") this.play(!this.on);
    else if (event.key in turns)
      this.turn(this.yaw + turns[event.key][0], this.pitch + turns[event.key][1]);
    else return;
    event.preventDefault();
  }

  letDrag() {
    let from = null;
    this.canvas.addEventListener("pointerdown", (event) => {
      from = { x: event.clientX, y: event.clientY, yaw: this.yaw, pitch: this.pitch };
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
      this.turn(from.yaw + dx / 100, from.pitch + dy / 150);
    });
    for (const end of ["pointerup", "pointercancel"])
      this.canvas.addEventListener(end, () => (from = null));
  }

  /** From a point to the canvas; a larger depth is nearer. */
  project([x, y, z]) {
    const { canvas, middle, radius, yaw, pitch } = this;
    const [a, b, c] = [x - middle[0], y - middle[1], z - middle[2]];
    const right = Math.cos(yaw) * a + Math.sin(yaw) * c;
    const towards = Math.cos(yaw) * c - Math.sin(yaw) * a;
    const up = Math.cos(pitch) * b - Math.sin(pitch) * towards;
    const depth = (Math.cos(pitch) * towards + Math.sin(pitch) * b) / radius;
    const { DISTANCE } = SkeletonPlayer;
    const near = this.clip.flat ? 1 : DISTANCE / (DISTANCE - Math.min(depth, DISTANCE - 1));
    const scale = (0.44 * Math.min(canvas.width, canvas.height) * near) / radius;
    return { x: canvas.width / 2 + scale * right, y: canvas.height / 2 - scale * up, near, depth };
  }

  draw() {
    const { canvas, clip } = this;
    if (!clip || !canvas.clientWidth) return;
    const size = Math.round(canvas.clientWidth * Math.min(devicePixelRatio, 2));
    if (canvas.width !== size) canvas.width = canvas.height = size;
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const ink = (joint) => {
      if (!this.colours) return style.getPropertyValue("--ink");
      const [name, share] = this.colours[joint];
      const ends = ["--nothing", name].map((end) => style.getPropertyValue(end).trim());
      return mixed(ends[0], ends[1], share);
    };
    context.clearRect(0, 0, size, size);
    const frame = Math.min(Math.floor(this.time), clip.keypoints.length - 1);
    const strokes = [];
    for (const body of this.points[frame].filter(Boolean)) {
      const joints = body.map((point) => point && this.project(point));
      for (const [child, parent] of clip.bones) {
        const [a, b] = [joints[child], joints[parent]];
        if (a && b) strokes.push({ a, b, colour: ink(child), depth: (a.depth + b.depth) / 2 });
      }
      const head = joints[clip.head];
      if (head) strokes.push({ a: head, b: null, colour: ink(clip.head), depth: head.depth });
    }
    context.lineCap = "round";
    for (const { a, b, colour } of strokes.sort((one, other) => one.depth - other.depth)) {
      context.strokeStyle = context.fillStyle = colour;
      context.lineWidth = (size / 62) * a.near;
      context.beginPath();
      if (b === null) {
        context.arc(a.x, a.y, (size / 40) * a.near, 0, 2 * Math.PI);
        context.fill();
      } else {
        context.moveTo(a.x, a.y);
        context.lineTo(b.x, b.y);
        context.stroke();
      }
    }
  }
}

/** A colour between two, each #rrggbb. */
function mixed(from, to, share) {
  const parts = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  const [a, b] = [parts(from), parts(to)];
  return `rgb(${a.map((value, i) => Math.round(value + share * (b[i] - value))).join(" ")})`;
}
