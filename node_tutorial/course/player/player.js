/* Explorables on a page without a kernel: recorded pictures, drawn on a canvas.

   The page has <figure class="explorable" data-name="..." data-start="0" data-source="....js"> with the picture that one
   sees without scripts. When it comes near the screen, its recording is loaded: a script that calls
   explorable(name, gzipped JSON in base64), so that it works from a file, too. What the JSON holds is written in
   course/recording.py, what its operations are in course/operations.py. */
(function () {
  "use strict";
  if (window.explorable) return;
  const waiting = {}; // name -> figures that wait for its recording
  const recordings = {}; // name -> promise of it
  let made = 0; // figures that play, for ids

  // ------------------------------------------------------------------------------------------------ recordings

  async function unpack(base64) {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  window.explorable = (name, base64) => {
    recordings[name] = unpack(base64);
    for (const figure of waiting[name] || []) play(figure);
  };

  async function play(figure) {
    try {
      figure.player = new Player(figure, await recordings[figure.dataset.name]);
    } catch (error) {
      console.error(error); // an old browser: the picture stays
    }
  }

  function load(figure) {
    const { name, source } = figure.dataset;
    if (recordings[name]) return play(figure);
    const first = !waiting[name];
    (waiting[name] ||= []).push(figure);
    if (first && source) document.head.append(make("script", { src: source }));
  }

  function make(tag, properties, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  // -------------------------------------------------------------------------------------------------- the colors

  const isDark = () => document.documentElement.dataset.theme === "dark";
  const turned = {};

  function inTheDark(hex) { // the same hue, light for dark
    if (turned[hex]) return turned[hex];
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255);
    const high = Math.max(r, g, b);
    const low = Math.min(r, g, b);
    const light = (high + low) / 2;
    const range = high - low;
    const saturation = range ? range / (1 - Math.abs(2 * light - 1)) : 0;
    let hue = 0;
    if (range && high === r) hue = ((g - b) / range + 6) % 6;
    else if (range && high === g) hue = (b - r) / range + 2;
    else if (range) hue = (r - g) / range + 4;
    const to = 0.93 - 0.85 * light;
    // Clear colors are those of lines: not darker than what can be read.
    const clear = range > 0.3 && light > 0.15 && light < 0.75;
    turned[hex] = `hsl(${hue * 60} ${saturation * 100}% ${(clear ? Math.max(0.56, to) : to) * 100}%)`;
    return turned[hex];
  }

  function lightness(hex) {
    const parts = hex ? [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255) : [1];
    return (Math.max(...parts) + Math.min(...parts)) / 2;
  }

  // --------------------------------------------------------------------------------------------------- the paths

  const [PATH, TEXT, IMAGE] = [0, 4, 5]; // kinds of operations; all six are in Player.operation

  function rectangle(pieces) { // around lines: left, top, width, height
    let x = 0;
    let y = 0;
    const xs = [];
    const ys = [];
    for (const [, ...steps] of pieces) {
      for (let i = 0; i < steps.length; i += 2) {
        xs.push((x += steps[i] / 10));
        ys.push((y += steps[i + 1] / 10));
      }
    }
    const [left, top] = [Math.min(...xs), Math.min(...ys)];
    return [left, top, Math.max(...xs) - left, Math.max(...ys) - top];
  }

  function trace(path, pieces, unit, x = 0, y = 0) {
    if (pieces.length && pieces[0][0] !== 0) path.moveTo(x / unit, y / unit);
    for (const piece of pieces) {
      const at = [];
      for (let i = 1; i < piece.length; i += 2) at.push((x += piece[i]) / unit, (y += piece[i + 1]) / unit);
      if (piece[0] === 0) path.moveTo(...at);
      else if (piece[0] === 1) for (let i = 0; i < at.length; i += 2) path.lineTo(at[i], at[i + 1]);
      else if (piece[0] === 2) path.quadraticCurveTo(...at);
      else if (piece[0] === 3) path.bezierCurveTo(...at);
      else path.closePath();
    }
    return [x, y];
  }

  function pathOf(pieces, unit) {
    const path = new Path2D();
    trace(path, pieces, unit);
    return path;
  }

  // -------------------------------------------------------------------------------------------------- the player

  // Letters that would be smaller than SMALL pixels are drawn with READABLE ones; the picture scrolls then.
  const [SMALL, READABLE] = [8, 9];
  const SCROLLS = "Scroll the picture sideways, or turn the phone.";

  class Player {
    constructor(figure, recording) {
      this.figure = figure;
      this.data = recording;
      this.start = recording.settings[+figure.dataset.start || 0].slice(1);
      this.at = this.start.slice();
      this.found = new Map(recording.settings.map((setting, n) => [setting.slice(1).join(), n]));
      this.letters = Math.min(...recording.operations.map(([kind, ...rest]) => (kind === TEXT ? rest[4] : Infinity)));
      this.glyphs = [];
      this.drawn = []; // by operation: its path or image
      this.build(`explorable-${++made}`);
      new ResizeObserver(() => figure.clientWidth !== this.room && this.draw()).observe(figure);
      new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
      this.show();
    }

    build(id) {
      const { question, note, controls } = this.data;
      this.inputs = controls.map((control, k) => this.control(control, k, `${id}-${control.name}`));
      const reset = make("button", { type: "button", textContent: "Reset" });
      reset.onclick = () => {
        this.pause();
        this.at = this.start.slice();
        this.show();
      };
      this.canvas = make("canvas", {});
      this.canvas.setAttribute("role", "img");
      this.box = make("div", { className: "picture" }, this.canvas);
      this.hint = make("p", { className: "note", id: `${id}-hint`, textContent: SCROLLS, hidden: true });
      this.caption = make("div", {});
      this.caption.setAttribute("role", "status");
      const asked = make("p", { className: "question", id: `${id}-question`, textContent: question });
      const rows = this.inputs.map((input) => input.row);
      const group = make("div", { className: "controls" }, ...rows, reset);
      group.setAttribute("role", "group");
      group.setAttribute("aria-labelledby", asked.id);
      const notes = note ? [make("p", { className: "note", textContent: note })] : [];
      const below = make("figcaption", {}, this.caption);
      this.figure.replaceChildren(asked, group, ...notes, this.hint, this.box, below);
    }

    control({ label, kind, values, milliseconds }, k, id) {
      let input;
      if (kind === "menu") {
        input = make("select", {}, ...values.map((text, i) => make("option", { value: i, textContent: text })));
      } else if (kind === "box") {
        input = make("input", { type: "checkbox" });
      } else {
        input = make("input", { type: "range", min: 0, max: values.length - 1, step: 1 });
      }
      input.id = id;
      input.oninput = () => {
        const to = kind === "box" ? +input.checked : +input.value;
        this.pause(); // which shows where it has come to
        this.move(k, to);
      };
      const row = make("div", { className: "control" }, make("label", { htmlFor: id, textContent: label }), input);
      if (input.type === "range") row.append((input.readout = make("output", { htmlFor: id })));
      if (kind === "play") {
        input.button = make("button", { type: "button", textContent: "Play" });
        input.button.setAttribute("aria-label", `Play: ${label}`);
        input.button.onclick = () => this.animate(k, milliseconds);
        row.prepend(input.button);
      }
      return Object.assign(input, { row });
    }

    animate(k, milliseconds) {
      const wasPlaying = this.playing === k;
      this.pause();
      if (wasPlaying) return;
      const last = this.data.controls[k].values.length - 1;
      if (this.at[k] === last) this.move(k, 0);
      this.playing = k;
      this.inputs[k].button.textContent = "Pause";
      this.caption.setAttribute("aria-live", "off"); // else every frame would be read out
      this.timer = setInterval(() => {
        if (this.at[k] < last) this.move(k, this.at[k] + 1);
        if (this.at[k] === last) this.pause();
      }, milliseconds);
    }

    pause() {
      if (this.playing === undefined) return;
      clearInterval(this.timer);
      this.inputs[this.playing].button.textContent = "Play";
      this.playing = undefined;
      this.caption.removeAttribute("aria-live");
      this.show();
    }

    // Move control k to its value i, or on to the next one that is recorded together with the others; where these
    // are not free, they return to where the recording begins.
    move(k, i) {
      const step = i < this.at[k] ? -1 : 1;
      const { settings, free, controls } = this.data;
      const alike = (setting) => free.every((f) => f === k || setting[f + 1] === this.at[f]);
      for (; i >= 0 && i < controls[k].values.length; i += step) {
        const there = this.at.slice();
        there[k] = i;
        const found = this.found.has(there.join())
          ? settings[this.found.get(there.join())]
          : settings.find((setting) => setting[k + 1] === i && alike(setting)) ||
            (free.includes(k) && settings.find((setting) => setting[k + 1] === i));
        if (found) {
          this.at = found.slice(1);
          break;
        }
      }
      this.show();
    }

    show() {
      this.data.controls.forEach((control, k) => {
        const input = this.inputs[k];
        const text = control.values[this.at[k]];
        if (input.type === "checkbox") input.checked = this.at[k] === 1;
        else input.value = this.at[k];
        if (input.readout && input.readout.textContent !== text) {
          input.readout.textContent = text;
          input.setAttribute("aria-valuetext", text);
        }
      });
      this.frame = this.data.frames[this.data.settings[this.found.get(this.at.join())][0]];
      const text = this.data.texts[this.frame[0]];
      if (this.caption.textContent !== text) this.caption.textContent = text;
      this.canvas.setAttribute("aria-label", text);
      this.draw();
    }

    // ---------------------------------------------------------------------------------------------- the picture

    // On a narrow page the columns of axes stand one under another.
    parts() {
      const [width, height] = this.data.size;
      const room = (this.room = this.figure.clientWidth);
      const columns = this.data.columns;
      const whole = [[undefined, 0, width]];
      return (columns.length && room < 0.7 * width ? columns : whole).map(([axes, left, right]) => {
        const fits = Math.min(1, room / (right - left));
        const scale = fits * this.letters < SMALL ? Math.min(1, READABLE / this.letters) : fits;
        return { axes, left, right, height, scale };
      });
    }

    // Whoever has no pointer scrolls with the arrow keys, and hears that there is something to scroll.
    scrolls(does) {
      if (this.hint.hidden !== does) return;
      this.hint.hidden = !does;
      const attributes = { tabindex: 0, role: "region", "aria-labelledby": this.hint.id };
      for (const [name, value] of Object.entries(attributes)) {
        if (does) this.box.setAttribute(name, value);
        else this.box.removeAttribute(name);
      }
    }

    draw() {
      const parts = this.parts();
      const ratio = window.devicePixelRatio || 1;
      const width = Math.max(...parts.map((part) => (part.right - part.left) * part.scale));
      const height = parts.reduce((sum, part) => sum + part.height * part.scale, 0);
      const canvas = this.canvas;
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
      this.scrolls(width > this.room + 1);
      const pen = canvas.getContext("2d");
      this.dark = isDark();
      this.background = getComputedStyle(document.body).backgroundColor; // in the dark, for white
      let top = 0;
      for (const { axes, left, right, height: high, scale } of parts) {
        pen.save();
        pen.scale(ratio, ratio);
        pen.translate(0, top);
        pen.scale(scale, scale);
        pen.translate(-left, 0);
        pen.beginPath();
        pen.rect(left, 0, right - left, high);
        pen.clip();
        for (const [group, ...runs] of this.frame.slice(1)) {
          if (axes && !axes.includes(group)) continue;
          this.kept = this.dark ? this.boxes(runs) : [];
          for (let i = 0; i < runs.length; i += 2) {
            for (let n = runs[i]; n < runs[i] + runs[i + 1]; n++) this.operation(pen, n);
          }
        }
        pen.restore();
        top += high * scale;
      }
    }

    // Images, and axes that are dark anyway, keep their colors in the dark, with all that is drawn on them.
    boxes(runs) {
      const found = [];
      for (let i = 0; i < runs.length; i += 2) {
        for (let n = runs[i]; n < runs[i] + runs[i + 1]; n++) {
          const operation = this.data.operations[n];
          if (operation[0] === IMAGE) found.push(operation.slice(1, 5));
        }
      }
      const [kind, style, pieces] = this.data.operations[runs[0]];
      if (kind === PATH && lightness(this.data.styles[style].f) < 0.3) found.push(rectangle(pieces));
      return found;
    }

    keeps([kind, style, ...rest]) {
      const inside = (x, y) => this.kept.some(([left, top, width, height]) =>
        x > left && x < left + width && y > top && y < top + height);
      if (kind === TEXT) return inside(rest[0] / 10 + 1, rest[1] / 10 - 1);
      if (kind === IMAGE) return true;
      const cut = this.data.styles[[style].flat(2)[0]].k;
      if (cut) return inside(cut[0] + cut[2] / 2, cut[1] + cut[3] / 2);
      if (kind !== PATH) return false;
      const [left, top, width, height] = rectangle(rest[0]);
      return Math.min(width, height) > 5 && inside(left + width / 2, top + height / 2);
    }

    operation(pen, n) {
      const [kind, ...rest] = this.data.operations[n];
      this.turns = this.dark && !(this.kept.length && this.keeps(this.data.operations[n]));
      pen.save();
      [this.path, this.markers, this.markers, this.lines, this.text, this.image][kind].call(this, pen, n, ...rest);
      pen.restore();
    }

    path(pen, n, style, pieces) {
      this.drawn[n] ||= pathOf(pieces, 10);
      this.cut(pen, style);
      this.paint(pen, style, this.drawn[n]);
    }

    markers(pen, n, styles, pieces, places) {
      this.drawn[n] ||= pathOf(pieces, 100);
      this.cut(pen, styles.length ? styles[0] : styles);
      for (let i = 0; i < places.length; i += 2) {
        pen.translate(places[i] / 10, places[i + 1] / 10);
        this.paint(pen, styles.length ? styles[i / 2] : styles, this.drawn[n]);
      }
    }

    lines(pen, n, parts) {
      if (!this.drawn[n]) {
        let at = [0, 0];
        this.drawn[n] = [];
        for (let i = 0; i < parts.length; i += 2) {
          const path = new Path2D();
          at = trace(path, parts[i + 1], 10, ...at);
          this.drawn[n].push([parts[i], path]);
        }
      }
      this.cut(pen, parts[0]);
      for (const [style, path] of this.drawn[n]) this.paint(pen, style, path);
    }

    text(pen, n, style, x, y, angle, size, glyphs) {
      pen.translate(x / 10, y / 10);
      pen.rotate((-angle * Math.PI) / 180);
      for (const [number, dx, dy = 0, own = 1] of glyphs) {
        const glyph = (this.glyphs[number] ||= pathOf(this.data.glyphs[number], 10));
        const scale = (own * size) / 100; // glyphs are 100 pixels high
        pen.save();
        pen.translate(dx / 10, -dy / 10);
        pen.scale(scale, -scale);
        this.paint(pen, style, glyph);
        pen.restore();
      }
    }

    image(pen, n, x, y, width, height, source) {
      let image = this.drawn[n];
      if (!image) {
        image = this.drawn[n] = new Image();
        image.onload = () => this.draw();
        image.src = source;
      }
      if (image.complete && image.naturalWidth) pen.drawImage(image, x, y, width, height);
    }

    cut(pen, number) {
      const rectangle = this.data.styles[number].k;
      if (!rectangle) return;
      pen.beginPath();
      pen.rect(...rectangle);
      pen.clip();
    }

    paint(pen, number, path) {
      const style = this.data.styles[number];
      const turn = (hex) => (hex === "#ffffff" ? this.background : inTheDark(hex));
      const color = this.turns ? turn : (hex) => hex;
      if (style.f) {
        pen.globalAlpha = style.g ?? 1;
        pen.fillStyle = color(style.f);
        pen.fill(path);
      }
      if (style.s) {
        pen.globalAlpha = style.a ?? 1;
        pen.strokeStyle = color(style.s);
        pen.lineWidth = style.w;
        pen.lineCap = style.c || "butt";
        pen.lineJoin = style.j || "miter";
        pen.setLineDash(style.d || []);
        pen.stroke(path);
      }
    }
  }

  // ---------------------------------------------------------------------------------------------------- the page

  function begin() {
    if (!window.DecompressionStream || !window.IntersectionObserver) return; // the pictures stay
    const near = new IntersectionObserver(
      (entries) => {
        for (const { isIntersecting, target } of entries) {
          if (!isIntersecting) continue;
          near.unobserve(target);
          load(target);
        }
      },
      { rootMargin: "600px" },
    );
    document.querySelectorAll("figure.explorable").forEach((figure) => near.observe(figure));
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
