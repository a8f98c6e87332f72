// Sent with every update, so it only fetches the real module, see assets.py, and keeps its object
// as long as the element is in the page: Streamlit calls it for every update and change of theme.

const kept = new WeakMap();

function appRoot(basePath) {
  // The page's own bundle tells where the app lives, also behind a proxy that adds a path.
  const bundle = document.querySelector('script[src*="static/js/"]')?.src ?? "";
  const sameOrigin = bundle.startsWith(`${location.origin}/`);
  return sameOrigin ? bundle.slice(0, bundle.indexOf("/static/js/")) : location.origin + basePath;
}

export default async function ({ data, parentElement, setTriggerValue }) {
  const { basePath, ...urls } = data.assets;
  for (const [name, path] of Object.entries(urls)) {
    if (path.startsWith("/")) urls[name] = appRoot(basePath) + path;
  }
  const { default: Component } = await import(urls.module);
  const component = kept.get(parentElement) ?? new Component(parentElement, urls);
  kept.set(parentElement, component);
  component.receive(data, urls, setTriggerValue);
  return () => {
    // Also called when two calls overtake each other while scripts load.
    if (parentElement.isConnected) return;
    component.destroy();
    kept.delete(parentElement);
  };
}
