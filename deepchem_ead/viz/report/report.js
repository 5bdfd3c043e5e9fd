"use strict";
const element = id => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
let turning = !still, look = {};

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

/* One viewer takes the pictures of all cards in sight, one at a time; a second one is alive, in the
   card under the pointer or in the dialog. Browsers allow few WebGL contexts. */
const viewers = {
  async create(host, antialias) {
    await $3Dmolpromise;
    return $3Dmol.createViewer(host, { backgroundColor: "white", backgroundAlpha: 0, antialias });
  },
  load(viewer, [text, format], host) {
    viewer.removeAllModels();
    viewer.addModel(text, format);
    viewer.setStyle({}, look);
    frameMolecule(viewer, host);
    viewer.render();
  },
};

function refuse(view, error) {
  view.replaceChildren(make("div", { className: "none", textContent: "No 3D view here: this browser has no WebGL or no DecompressionStream (" + error + ")" }));
}

const camera = {
  viewer: null, host: make("div", { ariaHidden: "true" }), queue: new Set(), busy: false,
  async take(view, model) {
    try {
      if (!this.viewer) {
        // Twice the size of a card: to draw it smaller smooths edges and costs less than antialiasing.
        this.host.style.cssText = "position:fixed;left:-2000px;top:0;width:504px;height:420px";
        document.body.append(this.host);
        this.viewer = await viewers.create(this.host, false);
      }
      viewers.load(this.viewer, model, this.host);
      view.prepend(make("img", { src: this.viewer.pngURI(), alt: "" }));
    } catch (error) {
      refuse(view, error);
    }
  },
  async work() {
    if (this.busy) return;
    this.busy = true;
    for (const view of this.queue) {
      this.queue.delete(view);
      if (!view.querySelector("img")) await this.take(view, view.model);
      await new Promise(done => setTimeout(done));
    }
    this.busy = false;
  },
};

const inSight = new IntersectionObserver(seen => {
  for (const { target, isIntersecting } of seen) {
    if (isIntersecting && target.isConnected && !target.querySelector("img, .none")) camera.queue.add(target);
    else camera.queue.delete(target);
  }
  camera.work();
}, { rootMargin: "200px" });

const live = {
  viewer: null, host: make("div", { className: "live" }), view: null,
  async show(view) {
    if (this.view === view) return;
    this.leave();
    this.view = view;
    view.append(this.host);
    try {
      this.viewer ??= await viewers.create(this.host, true);
      if (this.view !== view) return;
      this.viewer.resize();
      viewers.load(this.viewer, view.model, this.host);
      this.spin();
      this.host.style.opacity = 1;
      const picture = view.querySelector("img");
      if (picture) picture.style.visibility = "hidden";
    } catch (error) {
      refuse(view, error);
    }
  },
  leave() {
    const picture = this.view?.querySelector("img");
    if (picture) picture.style.visibility = "";
    this.viewer?.spin(false);
    this.host.style.opacity = 0;
    this.host.remove();
    this.view = null;
  },
  spin() { this.viewer?.spin(turning ? "y" : false, 0.7); },
};
// The wheel scrolls the page; over the large view, or with Ctrl, it changes the size.
live.host.addEventListener("wheel", event => {
  if (!event.ctrlKey && live.view !== element("large")) event.stopPropagation();
}, { capture: true });

function run(data) {
  const { columns, models, names, described } = data;
  look = data.look;
  const table = data.table;
  const size = table.name.length;
  const all = [...Array(size).keys()];
  let rows = all, made = 0, asTable = false, shown = null;

  const plain = value => value === null || value === undefined ? "" : value === true ? "yes" : value === false ? "no"
    : typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(4))) : String(value);

  function watch(card, row) {
    const view = card.querySelector(".view");
    view.model = models[row];
    if (!view.model) {
      view.replaceChildren(make("div", { className: "none", textContent: "no picture in this page" }));
      return;
    }
    inSight.observe(view);
    let from = null;
    card.addEventListener("pointerenter", event => { if (event.pointerType === "mouse" && !element("dialog").open) live.show(view); });
    card.addEventListener("pointerleave", () => { if (live.view === view) live.leave(); });
    card.addEventListener("focus", () => { if (card.matches(":focus-visible") && !element("dialog").open) live.show(view); });
    card.addEventListener("blur", () => { if (live.view === view) live.leave(); });
    card.addEventListener("pointerdown", event => { from = [event.clientX, event.clientY]; }, true);
    card.addEventListener("click", event => {
      const moved = from && Math.hypot(event.clientX - from[0], event.clientY - from[1]) > 5;
      if (!moved && !String(getSelection())) open(row);
    });
    card.addEventListener("keydown", event => { if (event.key === "Enter") open(row); });
  }

  function card(row) {
    const why = table.reasons[row];
    const name = names.length > 1 ? names[table.set[row]] + ": " + table.name[row] : table.name[row];
    const about = make("div", { className: "about" },
      make("p", {}, make("b", { textContent: name })),
      make("p", { className: "smiles", textContent: models[row]?.[2] ?? "" }),
      make("p", { className: why ? "why" : "fine", textContent: why ? why.replaceAll(";", ", ") : "sound" }));
    const column = element("order").value;
    if (column in columns && plain(table[column][row])) about.append(make("p", { textContent: column + " " + plain(table[column][row]) }));
    const node = make("article", { className: "card", tabIndex: 0, ariaLabel: name }, make("div", { className: "view" }), about);
    node.querySelector(".view").setAttribute("role", "img");
    node.querySelector(".view").setAttribute("aria-label", "3D view of " + name);
    watch(node, row);
    return node;
  }

  // "methyl strain_kcal>5 rings>=2": words are looked for in names, SMILES and reasons.
  function conditions(text) {
    return text.toLowerCase().split(/\s+/).filter(Boolean).map(word => {
      const [, name, sign, number] = word.match(/^(\w+)(<=|>=|<|>|=)(-?[\d.]+(?:e-?\d+)?|yes|no|true|false)$/) ?? [];
      const column = Object.keys(columns).find(each => each.toLowerCase() === name);
      if (!column) {
        return row => [table.name[row], models[row]?.[2], table.details[row]].some(s => String(s ?? "").toLowerCase().includes(word));
      }
      const wanted = /^(yes|true)$/.test(number) ? 1 : /^(no|false)$/.test(number) ? 0 : Number(number);
      const holds = { "<": v => v < wanted, ">": v => v > wanted, "<=": v => v <= wanted, ">=": v => v >= wanted, "=": v => v === wanted }[sign];
      return row => table[column][row] !== null && holds(Number(table[column][row]));
    });
  }

  function refresh() {
    const found = conditions(element("search").value);
    const reason = element("reason").value;
    const set = element("sets").value;
    const order = element("order").value;
    rows = all.filter(row => (set === "" || table.set[row] === Number(set)) && found.every(holds => holds(row)) && (
      reason === "" || (reason === "sound" ? table.sound[row] : reason === "unsound" ? !table.sound[row]
        : ("" + table.reasons[row]).split(";").includes(reason.slice(1)))));
    if (!asTable) rows = rows.filter(row => models[row]);
    if (order !== "") {
      const values = order === "worst" ? data.rank : table[order];
      const sign = element("descending").checked ? -1 : 1;
      const missing = value => value === null || value === undefined;
      rows.sort((a, b) => missing(values[a]) - missing(values[b]) || (missing(values[a]) ? 0 : sign *
        (typeof values[a] === "string" ? values[a].localeCompare(values[b]) : values[a] - values[b])));
    } else if (element("descending").checked) {
      rows.reverse();
    }
    element("count").textContent = rows.length.toLocaleString("en") + (rows.length === 1 ? " molecule" : " molecules") + (asTable ? "" : " with pictures");
    live.leave();
    inSight.takeRecords();
    element("gallery").replaceChildren();
    element("table").replaceChildren();
    element("gallery").hidden = asTable;
    element("table").hidden = !asTable;
    made = 0;
    if (asTable) element("table").append(make("table", {}, head(), make("tbody")));
    more();
  }

  function head() {
    const cells = Object.keys(columns).map(name => {
      const button = make("button", { type: "button", textContent: name, title: described[name] ?? "" });
      button.onclick = () => {
        element("descending").checked = element("order").value === name && !element("descending").checked;
        element("order").value = name;
        refresh();
      };
      const cell = make("th", { scope: "col" }, button);
      if (element("order").value === name) cell.ariaSort = element("descending").checked ? "descending" : "ascending";
      return cell;
    });
    return make("thead", {}, make("tr", {}, ...(names.length > 1 ? [make("th", { scope: "col", textContent: "set" })] : []), ...cells));
  }

  function line(row) {
    const cells = Object.entries(columns).map(([name, kind]) => make("td", { className: kind === "number" ? "number" : "", textContent: plain(table[name][row]).replaceAll(";", "; ") }));
    if (names.length > 1) cells.unshift(make("td", { textContent: names[table.set[row]] }));
    const node = make("tr", { tabIndex: 0 }, ...cells);
    node.onclick = () => { if (!String(getSelection())) open(row); };
    node.onkeydown = event => { if (event.key === "Enter") open(row); };
    return node;
  }

  function more() {
    const next = rows.slice(made, made + (asTable ? 100 : 48));
    made += next.length;
    if (asTable) element("table").querySelector("tbody").append(...next.map(line));
    else element("gallery").append(...next.map(card));
    element("more").hidden = made >= rows.length;
  }

  async function open(row) {
    shown = row;
    live.leave();
    const large = element("large");
    large.replaceChildren();
    large.model = models[row];
    element("dialog-name").textContent = table.name[row];
    element("dialog-smiles").textContent = models[row]?.[2] ?? "";
    element("dialog-details").textContent = table.reasons[row] ? table.details[row] : "sound: it fails no check";
    element("dialog-details").className = table.reasons[row] ? "worse" : "better";
    element("dialog-details").style.background = "none";
    const values = Object.keys(columns).filter(name => !["name", "sound", "reasons", "details"].includes(name) && plain(table[name][row]) !== "");
    element("dialog-values").replaceChildren(...values.flatMap(name => [make("dt", { textContent: name, title: described[name] ?? "" }), make("dd", { textContent: plain(table[name][row]) })]));
    element("save").hidden = !large.model;
    if (!element("dialog").open) element("dialog").showModal();
    if (large.model) await live.show(large);
    else large.append(make("div", { className: "none", textContent: "There is no picture of this molecule in the page." }));
  }

  function step(by) {
    const list = rows.includes(shown) ? rows : all;
    open(list[(list.indexOf(shown) + by + list.length) % list.length]);
  }

  element("next").onclick = () => step(1);
  element("previous").onclick = () => step(-1);
  element("close").onclick = () => element("dialog").close();
  element("turn").textContent = turning ? "stop" : "turn";
  element("turn").onclick = event => { turning = !turning; event.target.textContent = turning ? "stop" : "turn"; live.spin(); };
  element("save").onclick = () => {
    const [text, format] = models[shown];
    const link = make("a", { download: String(table.name[shown]).replace(/[^\w.-]+/g, "_") + "." + format,
      href: URL.createObjectURL(new Blob([format === "sdf" ? text + "$$$$\n" : text])) });
    link.click();
    URL.revokeObjectURL(link.href);
  };
  element("dialog").addEventListener("close", () => live.leave());
  element("dialog").addEventListener("click", event => { if (event.target === element("dialog")) element("dialog").close(); });
  element("dialog").addEventListener("keydown", event => {
    if (event.key === "ArrowRight") step(1);
    if (event.key === "ArrowLeft") step(-1);
  });

  const option = (value, text) => make("option", { value, textContent: text });
  element("reason").append(option("", "all"), option("sound", "sound"), option("unsound", "unsound"), ...data.reasons.map(name => option("=" + name, name)));
  element("order").append(option("", "of the file"), option("worst", "worst first"), ...Object.keys(columns).map(name => option(name, name)));
  element("sets").append(option("", "all"), ...names.map((name, i) => option(i, name)));
  element("sets-label").hidden = names.length < 2;
  for (const id of ["search", "reason", "sets", "order", "descending"]) element(id).oninput = refresh;
  const choose = pressed => {
    asTable = pressed;
    element("as-table").ariaPressed = pressed;
    element("as-pictures").ariaPressed = !pressed;
    refresh();
  };
  element("as-table").onclick = () => choose(true);
  element("as-pictures").onclick = () => choose(false);
  element("more").onclick = more;
  new IntersectionObserver(([seen]) => { if (seen.isIntersecting) more(); }, { rootMargin: "600px" }).observe(element("more"));
  for (const each of document.querySelectorAll(".card[data-row]")) watch(each, Number(each.dataset.row));
  for (const link of document.querySelectorAll("[data-reason]")) {
    link.onclick = () => { element("reason").value = "=" + link.dataset.reason; refresh(); };
  }
  refresh();
  return { all, open, table, models };
}

const ready = unpack(element("data").textContent).then(run).catch(error => {
  element("gallery").textContent = "The molecules of this page cannot be read by this browser (" + error + ")";
});
