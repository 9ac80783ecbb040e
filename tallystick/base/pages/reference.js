"use strict";
for (const figure of document.querySelectorAll(".code")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", "Copy: " + figure.querySelector("figcaption").textContent);
  button.addEventListener("click", async () => {
    const text = figure.querySelector("code");
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      // Without a secure context there is no clipboard; what is selected can be copied by hand.
      getSelection().selectAllChildren(text);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  figure.append(button);
}
const search = document.querySelector(".search"), field = search.querySelector("input");
const searched = [...document.querySelectorAll("main article, main > section > table tbody tr")];
const sections = [...document.querySelectorAll("main > section")];
const links = [...document.querySelectorAll("nav li li, nav > ul > li")];
search.hidden = false;
const texts = new Map();
const textOf = (part) => {
  if (!texts.has(part)) texts.set(part, (part.id + " " + part.textContent).toLowerCase());
  return texts.get(part);
};
field.addEventListener("input", () => {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (part) => words.every((word) => textOf(part).includes(word));
  for (const part of searched) part.hidden = !fits(part);
  for (const part of sections) part.hidden = words.length > 0 && !searched.some((each) => !each.hidden && part.contains(each));
  for (const link of links) {
    const target = document.getElementById(link.querySelector("a").hash.slice(1));
    link.hidden = Boolean(target && target.closest("[hidden]"));
  }
  document.getElementById("nothing").hidden = sections.some((part) => !part.hidden);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.target.matches("input, textarea")) {
    event.preventDefault();
    field.focus();
  } else if (event.key === "Escape" && event.target === field) {
    field.value = "";
    field.dispatchEvent(new Event("input"));
  }
});
