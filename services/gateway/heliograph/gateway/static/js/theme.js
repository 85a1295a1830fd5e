/** Dark and light: as the system says, until the reader says otherwise. */

const KEY = "heliograph-theme";
const light = matchMedia("(prefers-color-scheme: light)");

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

export const current = () => document.documentElement.dataset.theme ?? (light.matches ? "light" : "dark");

/** Wire the switch; `changed` is called whenever the colours are others. */
export function installTheme(button, changed) {
  const chosen = stored();
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  button.addEventListener("click", () => {
    const next = current() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem(KEY, next);
    } catch {
      // A browser that stores nothing keeps the choice until the page is closed.
    }
    changed();
  });
  light.addEventListener("change", changed);
}
