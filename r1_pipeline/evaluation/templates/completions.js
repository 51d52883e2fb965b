"use strict";
const PAGE = 20;
const NONE = "";
const element = (tag, text = "", style = "") => {
  const made = document.createElement(tag);
  made.textContent = text; // never as markup: replies are not ours
  if (style) made.className = style;
  return made;
};
const control = name => document.getElementById(name);
const FILTERS = ["model", "other", "difference", "benchmark", "domain", "language", "outcome", "text"];

const title = benchmark => (benchmark === "evaluation" ? "held-out problems" : benchmark);

async function read() {
  const packed = Uint8Array.from(atob(control("data").textContent), letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function offer(name, pairs, all) {
  const choice = control(name);
  for (const [value, title] of all === undefined ? pairs : [[NONE, all], ...pairs]) {
    const option = element("option", title);
    option.value = value;
    choice.append(option);
  }
}

function group(data) {
  const { problem, model, sample, outcome, score, tokens, finish, text, detail } = data.columns;
  const problems = data.problems.map(each => ({ ...each, replies: new Map() }));
  for (let row = 0; row < text.length; row++) {
    const replies = problems[problem[row]].replies;
    if (!replies.has(model[row])) replies.set(model[row], []);
    replies.get(model[row]).push({
      sample: sample[row], outcome: outcome[row], score: score[row], tokens: tokens[row], finish: finish[row],
      text: text[row], detail: detail[row],
    });
  }
  return problems.filter(each => each.replies.size);
}

function meanScore(replies) {
  const scores = (replies ?? []).map(reply => reply.score).filter(each => each !== null);
  return scores.length ? scores.reduce((sum, each) => sum + each, 0) / scores.length : null;
}

const DIFFERENCES = {
  better: (a, b) => a > b, worse: (a, b) => a < b, different: (a, b) => a !== b, same: (a, b) => a === b,
};

function matching(problems, wanted) {
  const models = [wanted.model, wanted.other].filter(each => each !== NONE).map(Number);
  const found = wanted.text.toLowerCase();
  return problems.filter(problem => {
    if (wanted.benchmark !== NONE && problem.benchmark !== wanted.benchmark) return false;
    if (wanted.domain !== NONE && problem.domain !== wanted.domain) return false;
    if (wanted.language !== NONE && problem.language !== wanted.language) return false;
    const replies = models.flatMap(model => problem.replies.get(model) ?? []);
    if (!replies.length) return false;
    if (wanted.outcome !== NONE && !replies.some(reply => reply.outcome === wanted.outcome)) return false;
    if (wanted.other !== NONE && wanted.difference !== NONE) {
      const [a, b] = models.map(model => meanScore(problem.replies.get(model)));
      if (a === null || b === null || !DIFFERENCES[wanted.difference](a, b)) return false;
    }
    if (!found) return true;
    const texts = [problem.id, problem.question, problem.reference, ...replies.flatMap(r => [r.text, r.detail])];
    return texts.some(text => text.toLowerCase().includes(found));
  });
}

function card(problem, models, data) {
  const article = element("article", "", "exchange");
  const about = [data.domains[problem.domain] ?? problem.domain, data.languages[problem.language] ?? problem.language,
    title(problem.benchmark), problem.id];
  article.append(element("p", about.join(" · "), "eyebrow"), element("p", problem.question, "question"));
  const reference = element("p", "Reference: ", "reference");
  reference.append(element("code", problem.reference));
  const list = element("div", "", "replies");
  for (const model of models) {
    for (const reply of problem.replies.get(model) ?? []) {
      const box = element("div", "", "reply");
      const head = element("p");
      const verdict = element("span", reply.outcome.replaceAll("_", " "));
      verdict.className = `outcome ${reply.outcome === "correct" ? "ok" : "bad"}`;
      head.append(element("b", data.models[model]), verdict);
      const body = element("pre", reply.text);
      body.tabIndex = 0;
      const ended = reply.finish === "stop" ? "" : `, ended by ${reply.finish}`;
      const partial = reply.score === null || Number.isInteger(reply.score) ? "" : `, score ${reply.score.toFixed(2)}`;
      const facts = `sample ${reply.sample + 1}, ${reply.tokens} tokens${ended}${partial}`;
      box.append(head, body, element("p", facts + (reply.detail ? `; ${reply.detail}` : ""), "detail"));
      list.append(box);
    }
  }
  article.append(reference, list);
  return article;
}

function start(data) {
  const problems = group(data);
  const names = data.models.map((name, index) => [String(index), name]);
  const used = field => [...new Set(problems.map(problem => problem[field]))];
  offer("model", names);
  offer("other", names, "no other model");
  offer("benchmark", used("benchmark").map(name => [name, title(name)]), "all");
  offer("domain", used("domain").map(name => [name, data.domains[name] ?? name]), "all");
  offer("language", used("language").map(name => [name, data.languages[name] ?? name]), "all");
  offer("outcome", data.outcomes.map(name => [name, name.replaceAll("_", " ")]), "any");

  let found = [], shown = 0, wanted = {};
  const more = () => {
    const models = [...new Set([wanted.model, wanted.other])].filter(each => each !== NONE).map(Number);
    for (const problem of found.slice(shown, shown + PAGE)) control("problems").append(card(problem, models, data));
    shown = Math.min(found.length, shown + PAGE);
    control("more").hidden = shown >= found.length;
    control("count").textContent = `${found.length} of ${problems.length} problems, ${shown} shown`;
  };
  const update = () => {
    wanted = Object.fromEntries(FILTERS.map(name => [name, control(name).value]));
    control("difference").disabled = wanted.other === NONE;
    found = matching(problems, wanted);
    shown = 0;
    control("problems").replaceChildren();
    more();
  };
  const remember = () => {
    const state = new URLSearchParams();
    for (const name of FILTERS) {
      const value = control(name).value;
      const isModel = name === "model" || name === "other";
      if (value !== NONE) state.set(name, isModel ? data.models[Number(value)] : value);
    }
    history.replaceState(null, "", `#${state}`);
  };
  const recall = () => {
    const state = new URLSearchParams(location.hash.slice(1));
    for (const name of FILTERS) {
      const value = state.get(name) ?? NONE;
      const isModel = name === "model" || name === "other";
      const place = isModel && value !== NONE ? data.models.indexOf(value) : -1;
      control(name).value = isModel ? (place < 0 ? (name === "model" ? "0" : NONE) : String(place)) : value;
    }
    update();
  };
  for (const name of FILTERS) {
    control(name).addEventListener("input", () => { remember(); update(); });
  }
  control("filters").addEventListener("submit", event => event.preventDefault());
  control("more").addEventListener("click", more);
  addEventListener("hashchange", recall);
  recall();
}

read().then(start, error => {
  control("count").textContent = `The completions could not be read: ${error.message}`;
});
