"use strict";
(async function () {
  const $ = (id) => document.getElementById(id);
  if (!("DecompressionStream" in window)) { $("old").hidden = false; return; }
  const bytes = Uint8Array.from(atob($("data").textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const data = JSON.parse(await new Response(stream).text());
  const byItem = data.rows.map((rows) => {
    const out = new Map();
    for (const row of rows) { if (!out.has(row[0])) out.set(row[0], []); out.get(row[0]).push(row); }
    return out;
  });
  const PAGE = 10;
  let page = 0;
  const make = (tag, text, kind) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (kind) node.className = kind;
    return node;
  };
  for (const [id, chosen] of [["left", 0], ["right", Math.max(0, data.policies.findIndex((p) => p.role === "method"))]]) {
    data.policies.forEach((policy, i) => {
      const option = make("option", policy.role === "method" || policy.role === "base" ? policy.name : policy.name + " (" + policy.role + ")");
      option.value = i;
      option.selected = i === chosen;
      $(id).append(option);
    });
  }
  const WANTED = { any: [null, null], gain: [0, 1], loss: [1, 0], both: [1, 1], neither: [0, 0] };
  const pick = (rows, grade) => rows && (grade === null ? rows[0] : rows.find((row) => row[2] === grade));
  function found() {
    const left = byItem[+$("left").value], right = byItem[+$("right").value];
    const [a, b] = WANTED[$("outcome").value], words = $("words").value.toLowerCase();
    const out = [];
    data.items.forEach((item, i) => {
      const l = pick(left.get(i), a), r = pick(right.get(i), b);
      if (!l || !r) return;
      const all = [item.id, item.question, item.gold, l[3], l[4], r[3], r[4]].join("\n").toLowerCase();
      if (!words || all.includes(words)) out.push([i, l, r]);
    });
    return out;
  }
  function side(policy, item, row) {
    const box = make("div", undefined, row[2] === 1 ? "right" : "wrong");
    const who = make("p", undefined, "who");
    who.append(make("b", policy.name));
    const share = policy.solved[item], word = row[2] === 1 ? "right" : row[2] === 0 ? "wrong" : "ungraded";
    const rate = share === null || share === undefined ? "" : ", " + Math.round(share * policy.n) + " of " + policy.n + " right";
    who.append(", answer " + (row[3] || "none") + " (" + word + "), sample " + row[1] + rate);
    const text = make("pre", row[4]);
    text.tabIndex = 0;
    box.append(who, text);
    return box;
  }
  function show() {
    const hits = found(), last = Math.max(0, Math.ceil(hits.length / PAGE) - 1);
    page = Math.min(page, last);
    $("count").textContent = hits.length + " of " + data.items.length + " items" + (hits.length ? ", page " + (page + 1) + " of " + (last + 1) : "");
    $("back").disabled = page === 0;
    $("on").disabled = page >= last;
    $("hits").replaceChildren(...hits.slice(page * PAGE, page * PAGE + PAGE).map(([i, l, r]) => {
      const item = data.items[i], card = make("article", undefined, "trace"), head = make("h3", "Item " + item.id + " ");
      const sides = make("div", undefined, "sides");
      sides.append(side(data.policies[+$("left").value], i, l), side(data.policies[+$("right").value], i, r));
      card.append(head);
      if (item.question) card.append(make("p", item.question + (item.gold ? "  Gold: " + item.gold : ""), "question"));
      card.append(sides);
      return card;
    }));
  }
  for (const id of ["left", "right", "outcome", "words"]) $(id).addEventListener("input", () => { page = 0; show(); });
  $("back").addEventListener("click", () => { page -= 1; show(); });
  $("on").addEventListener("click", () => { page += 1; show(); window.scrollTo({ top: 0 }); });
  $("browser").hidden = false;
  $("chosen").hidden = true;
  show();
})();
